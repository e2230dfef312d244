/** A removal leaves the firewall as it is for others, also where the service had kept its rules (onStop: keep). */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { run } from '../lab/command.js'
import { canInstall, InstalledHost, LEFT_OUT } from './installed-host.js'
import { builtPackages, debOf } from './packages.js'

/** Loads rules of the service and of others, removes the package, and lists what is left. */
const REMOVE = `nft add table inet checkvalve
nft 'add chain inet checkvalve output { type filter hook output priority 0; policy drop; }'
nft add table inet other
mark='-m mark --mark 0x1000000/0x3f000000'
for family in iptables ip6tables; do
  $family -A OUTPUT -p tcp --dport 25 -j REJECT
  $family -A OUTPUT $mark -j NFQUEUE --queue-num 7 --queue-bypass
  for number in 100 101; do $family -I OUTPUT $mark -j NFQUEUE --queue-num $number --queue-bypass; done
  $family -t mangle -I PREROUTING $mark -j NFQUEUE --queue-num 102 --queue-bypass
done
dpkg --root="$1" --remove checkvalve >&2
nft list tables
iptables-save
ip6tables-save`

t.test('a removal takes the rules of checkvalve away, and no others', async (t) => {
  if (!canInstall()) return void t.comment(LEFT_OUT)
  const host = await InstalledHost.create(t, { nodejs: '20.19.2' })
  await host.dpkg('--install', debOf(await builtPackages()))
  const argv = ['unshare', '--net', 'sh', '-euc', REMOVE, 'sh', host.root]
  const { stdout } = await run('host', argv)
  t.notMatch(stdout, 'table inet checkvalve')
  t.match(stdout, 'table inet other')
  const rules = stdout.split('\n').filter((line) => line.startsWith('-A'))
  t.equal(rules.length, 4, rules.join('\n'))
  t.equal(rules.filter((rule) => rule.includes('--dport 25 -j REJECT')).length, 2)
  t.equal(
    rules.filter((rule) => rule.includes('--queue-num 7 ')).length,
    2,
    'another queue is of another program',
  )
})

t.test('the queue of the configuration is the one that counts', async (t) => {
  if (!canInstall()) return void t.comment(LEFT_OUT)
  const host = await InstalledHost.create(t, { nodejs: '20.19.2' })
  await host.dpkg('--install', debOf(await builtPackages()))
  writeFileSync(host.path('/etc/checkvalve/conf.d/queue.yaml'), 'queue: { first: 5 }\n')
  const { stdout } = await run('host', ['unshare', '--net', 'sh', '-euc', REMOVE, 'sh', host.root])
  t.match(stdout, '--queue-num 100 ')
  t.notMatch(stdout, '--queue-num 7 ')
})
