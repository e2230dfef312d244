import t from 'tap'
import { type Fields, readQuery } from '../../../src/analysis/explain/query.js'
import { host } from './context.js'

const read = (protocol: string, to: string, more: Fields = {}) => readQuery({ protocol, to, ...more })
const reason = (...given: Parameters<typeof read>) => {
  const parsed = read(...given)
  return parsed.ok ? 'understood' : parsed.reason
}

t.test('hosts are read in their usual forms: names, IPv4, IPv6 in brackets', async (t) => {
  t.match(read('tcp', 'API.example.org.:443'), { value: { host: 'api.example.org', port: 443 } })
  t.match(read('udp', '192.0.2.7:53'), { value: { host: host('192.0.2.7'), port: 53 } })
  t.match(read('tcp', '[2001:db8::7]:443'), { value: { host: host('2001:db8::7'), port: 443 } })
  for (const text of ['2001:db8::7', '[2001:db8::7]'])
    t.match(read('icmp', text), { value: { host: host('2001:db8::7'), port: undefined } }, text)
})

t.test('every option of a query is taken over, and nothing else is assumed', async (t) => {
  const all = { uid: '33', unit: 'nginx.service', 'from-port': '20', question: 'API.example.org.' }
  t.match(read('udp', '192.0.2.53:53', all), {
    value: { uid: 33, unit: 'nginx.service', fromPort: 20, name: 'api.example.org' },
  })
  const nothing = { uid: undefined, unit: undefined, fromPort: undefined, name: undefined }
  t.match(read('udp', '192.0.2.53:53'), { value: nothing })
})

t.test('a query that cannot be read is refused, and the error shows what to write instead', async (t) => {
  const table: [Parameters<typeof read>, RegExp][] = [
    [['sctp', '192.0.2.7:1'], /^the protocol is tcp, udp or icmp, not "sctp"/],
    [['tcp', '192.0.2.7'], /port is missing.* like 192\.0\.2\.7:443$/],
    [['tcp', 'api.example.org'], /port is missing.* like api\.example\.org:443$/],
    [['tcp', '2001:db8::7:443'], /brackets.*\[2001:db8::7:443\]:443$/],
    [['tcp', '192.0.2.7:0'], /^the port is a number from 1 to 65535, not "0"/],
    [['tcp', '192.0.2.7:65536'], /^the port is a number from 1 to 65535/],
    [['tcp', '192.0.2.7:https'], /is not a host and a port/],
    [['tcp', ''], /is empty/],
    [['tcp', ':443'], /is empty/],
    [['tcp', 'https://api.example.org/x'], /is a URL: write only the host, api\.example\.org/],
    [['tcp', '192.0.2.300:443'], /"192\.0\.2\.300" is neither a host name nor an IPv4 address/],
    [['tcp', '[::ffff:192.0.2.7]:443'], /in IPv6 form: write 192\.0\.2\.7/],
    [['tcp', '[api.example.org]:443'], /understood/],
    [['tcp', '192.0.2.0/24:443'], /"192\.0\.2\.0\/24" is not a host name/],
    [['tcp', '*.example.org:443'], /is not a host name/],
    [['icmp', '192.0.2.7:8'], /^icmp has no ports: give the host alone/],
    [['icmp', '192.0.2.7', { 'from-port': '8' }], /^icmp has no ports: leave --from-port out/],
    [['tcp', '192.0.2.7:1', { 'from-port': '70000' }], /^the source port is a number/],
    [['tcp', '192.0.2.7:1', { uid: '-1' }], /^the user id is a number/],
    [['tcp', '192.0.2.7:1', { uid: '4294967295' }], /^the user id is a number/],
    [['tcp', '192.0.2.7:1', { unit: 'nginx' }], /not a unit of systemd.* nginx\.service/],
    [['tcp', '192.0.2.7:443', { question: 'a.example.org' }], /goes to port 53/],
    [['icmp', '192.0.2.7', { question: 'a.example.org' }], /goes to port 53/],
    [['udp', '192.0.2.53:53', { question: 'a b' }], /"a b" is not a name/],
    [['udp', '192.0.2.53:53', { question: '' }], /"" is not a name/],
    [['udp', '192.0.2.53:53', { question: '_http._tcp.example.org' }], /understood/],
  ]
  for (const [given, pattern] of table) t.match(reason(...given), pattern, JSON.stringify(given))
})
