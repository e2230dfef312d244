import t from 'tap'
import { addressText } from '../../src/core/text.js'
import { parseHostsFile } from '../../src/mirrors/lookup.js'

const FILE = `
127.0.0.1\tlocalhost
198.51.100.1  mirror.example.org mirror   # the near one
2001:db8::1 mirror.example.org
 198.51.100.2 OTHER.example.org
#198.51.100.3 mirror.example.org
fe80::1%eth0 mirror.example.org
198.51.100 mirror.example.org
mirror.example.org
198.51.100.4
`

const addresses = (name: string, text = FILE) =>
  parseHostsFile(text, name).map(({ family, words }) => addressText(family, words))

t.test('all addresses of a name are found, of either family, whatever its place in the line', async (t) => {
  t.same(addresses('mirror.example.org'), ['198.51.100.1', '2001:db8::1'])
  t.same(addresses('mirror'), ['198.51.100.1'])
  t.same(addresses('localhost'), ['127.0.0.1'])
})

t.test('names are the same in capitals', async (t) => {
  t.same(addresses('other.example.org'), ['198.51.100.2'])
})

t.test('comments, lines without a name and addresses that cannot be used are nothing', async (t) => {
  t.same(addresses('198.51.100.4'), [])
  t.same(addresses('near'), [], 'a word of a comment is no name')
  t.same(addresses('example.org'), [], 'a part of a name is no name')
  t.same(addresses(''), [])
  t.same(addresses('mirror', ''), [])
})

t.test('a file with the line ends of another system is read', async (t) => {
  t.same(addresses('mirror', '198.51.100.1 mirror\r\n198.51.100.2 mirror\r\n'), [
    '198.51.100.1',
    '198.51.100.2',
  ])
})
