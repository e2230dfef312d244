import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readWebConfig } from '../../../src/telemetry/http/web-config.js'

const folder = mkdtempSync(join(tmpdir(), 'checkvalve-web-config-'))
t.teardown(() => rmSync(folder, { recursive: true }))
for (const name of ['cert', 'key', 'ca']) writeFileSync(join(folder, name), `the ${name}`)

const HASH = `$2y$10$${'a'.repeat(53)}`

function read(text: string) {
  writeFileSync(join(folder, 'web.yml'), text)
  return readWebConfig(join(folder, 'web.yml'))
}

t.test('a file of Prometheus exporters is read, with paths beside it', async (t) => {
  const both = read(`tls_server_config:
  cert_file: cert
  key_file: ${folder}/key
  min_version: TLS13
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca
basic_auth_users:
  prometheus: ${HASH}
`)
  t.same(both.tls, { cert: 'the cert', key: 'the key', clientCa: 'the ca', minVersion: 'TLSv1.3' })
  t.same([...both.users], [['prometheus', HASH]])
  t.same(read('').tls, undefined, 'an empty file asks for nothing')
  const { tls } = read('tls_server_config: { cert_file: cert, key_file: key }\n')
  t.match(tls, { clientCa: undefined, minVersion: 'TLSv1.2' })
})

t.test('what the server does not know is refused: no protection is left out in silence', async (t) => {
  const tls = (more: string) => `tls_server_config: { cert_file: cert, key_file: key, ${more} }\n`
  const refusals: Record<string, RegExp> = {
    'basic_auth_user: {}\n': /basic_auth_user is not supported in the file/,
    [tls('client_allowed_sans: [a]')]: /client_allowed_sans is not supported in tls_server_config/,
    [tls('client_auth_type: RequestClientCert')]: /must be NoClientCert or RequireAndVerifyClientCert/,
    [tls('client_auth_type: RequireAndVerifyClientCert')]: /client_ca_file is missing/,
    [tls('client_ca_file: ca')]: /client_ca_file needs client_auth_type/,
    [tls('min_version: TLS10')]: /min_version must be TLS12 or TLS13/,
    'tls_server_config: { cert_file: cert }\n': /key_file is missing/,
    'tls_server_config: { cert_file: gone, key_file: key }\n': /ENOENT.*gone/,
    'basic_auth_users: { prometheus: secret }\n': /password of prometheus is no hash of bcrypt/,
    [`basic_auth_users: { prometheus: "${HASH.replace('$10$', '$31$')}" }\n`]: /cost above 14/,
    '[]\n': /the file must be a mapping/,
    'a: [\n': /metrics\.webConfig: .*web\.yml: /,
  }
  for (const [text, message] of Object.entries(refusals)) t.throws(() => read(text), { message }, text)
  t.throws(() => readWebConfig(join(folder, 'none.yml')), { message: /metrics\.webConfig: .*ENOENT/ })
})
