import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createUsers } from '../../src/system/users.js'

const PASSWD = `root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root:/bin/sh
www-data:x:33:33::/var/www:/usr/sbin/nologin
# a comment
+::::::
broken:x:abc:1::/:/bin/sh
nowhere:x:4294967295:1::/:/bin/sh
`

function passwd(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'checkvalve-users-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'passwd')
  writeFileSync(file, PASSWD)
  return file
}

t.test('users of the passwd file are found without getent', async (t) => {
  const getent = () => t.fail('getent must not run') as never
  const { idOf, nameOf } = createUsers({ passwd: passwd(t), getent })
  t.equal(idOf('www-data'), 33)
  t.equal(idOf('toor'), 0)
  t.equal(nameOf(0), 'root', 'the first name of an id counts')
  t.equal(nameOf(33), 'www-data')
})

t.test('a number is a uid, with or without a name; the uid that means no user is refused', async (t) => {
  const { idOf, nameOf } = createUsers({ passwd: passwd(t), getent: () => undefined })
  t.equal(idOf('4000'), 4000)
  t.equal(nameOf(4000), undefined)
  t.equal(idOf('4294967295'), undefined)
  t.equal(idOf('nowhere'), undefined)
  t.equal(idOf('broken'), undefined)
})

t.test('a user of a directory service is looked up once', async (t) => {
  const asked: string[] = []
  const getent = (name: string) => {
    asked.push(name)
    return name === 'EXAMPLE\\ann' ? 'EXAMPLE\\ann:*:70001:100::/:/bin/sh' : undefined
  }
  const { idOf, nameOf } = createUsers({ passwd: '/nonexistent', getent })
  t.equal(nameOf(70001), undefined)
  t.equal(idOf('EXAMPLE\\ann'), 70001)
  t.equal(idOf('EXAMPLE\\ann'), 70001)
  t.equal(nameOf(70001), 'EXAMPLE\\ann')
  t.equal(idOf('bob'), undefined)
  t.same(asked, ['EXAMPLE\\ann', 'bob'])
})

t.test('a name can neither act as an option of getent nor add a line', async (t) => {
  const getent = () => t.fail('getent must not run') as never
  const { idOf } = createUsers({ passwd: passwd(t), getent })
  for (const name of ['', '-h', '--help', 'a:b', 'a\nb', 'a b', 'x'.repeat(300)])
    t.equal(idOf(name), undefined, name)
})

t.test('the host has root, and no user with an unknown name', async (t) => {
  const { idOf, nameOf } = createUsers()
  t.equal(idOf('root'), 0)
  t.equal(nameOf(0), 'root')
  t.equal(idOf('checkvalve-no-such-user'), undefined)
})
