import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import * as queue from 'node-netfilter-queue'
import * as system from 'node-netfilter-queue/system'
import t from 'tap'
import { PATIENCE_MS } from './helper.js'

const PACKAGE = new URL('../../', import.meta.url)

t.test('node-netfilter-queue exports the queue, its packets and its verdicts', async (t) => {
  t.same(Object.keys(queue).sort(), [
    'HELD',
    'NF_ACCEPT',
    'NF_DROP',
    'NF_REPEAT',
    'Queue',
    'QueueOpenError',
    'QueuedPacket',
  ])
})

t.test(
  'node-netfilter-queue/system exports netlink sockets, their messages, and what a service needs from Linux',
  async (t) => {
    t.same(Object.keys(system).sort(), [
      'HOST_LE',
      'MessageBuilder',
      'NETLINK_NETFILTER',
      'NETLINK_ROUTE',
      'NETLINK_SOCK_DIAG',
      'NFGENMSG_LEN',
      'NLA_F_NESTED',
      'NLA_HDRLEN',
      'NLMSG_ERROR',
      'NLMSG_HDRLEN',
      'NLM_F_ACK',
      'NLM_F_DUMP',
      'NLM_F_REQUEST',
      'NetlinkError',
      'NetlinkSocket',
      'align',
      'attribute',
      'eachAttribute',
      'hasNetAdmin',
      'isHungUp',
      'messages',
      'sdNotify',
    ])
  },
)

t.test('no other file of the package can be imported: no source file, no native part', async (t) => {
  const sources = readdirSync(new URL('dist/src/', PACKAGE)).filter((name) => name.endsWith('.js'))
  t.ok(sources.includes('binding.js'), 'the compiled sources are present')
  const inside = sources.map((name) => `dist/src/${name}`)
  const paths = [
    ...inside,
    'index.js',
    'system.js',
    'queue',
    'build/binding.node',
    'package.json',
    'binding.c',
  ]
  for (const path of paths)
    await t.rejects(import(`node-netfilter-queue/${path}`), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' }, path)
})

t.test('each entry point can be the first that a program loads', async (t) => {
  for (const name of ['node-netfilter-queue', 'node-netfilter-queue/system']) {
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', `import ${JSON.stringify(name)}`],
      { cwd: PACKAGE, env: {}, encoding: 'utf8', timeout: PATIENCE_MS },
    )
    t.same({ status, stderr }, { status: 0, stderr: '' }, name)
  }
})
