/** Makes certificates for tests, by openssl(1). */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A host where nothing is set up has no openssl.cnf. */
const CONFIG = '[req]\ndistinguished_name = name\n[name]\n'

function openssl(folder: string, ...words: string[]): void {
  const config = join(folder, 'openssl.cnf')
  writeFileSync(config, CONFIG)
  execFileSync('openssl', words, {
    cwd: folder,
    stdio: 'pipe',
    env: { ...process.env, OPENSSL_CONF: config },
  })
}

/** Makes an authority in a folder: ca.crt and ca.key. */
export function createAuthority(folder: string): void {
  const subject = [
    '-subj',
    '/CN=test authority',
    '-days',
    '2',
    '-addext',
    'basicConstraints=critical,CA:TRUE',
  ]
  openssl(
    folder,
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    ...subject,
  )
}

/**
 * Makes a certificate that the authority of the folder signs: NAME.crt and NAME.key.
 * @param address the IP address that it is for
 */
export function createCertificate(folder: string, name: string, address: string): void {
  const request = ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`]
  openssl(folder, 'req', ...request, '-subj', `/CN=${name}`, '-addext', `subjectAltName=IP:${address}`)
  const signed = ['-in', `${name}.csr`, '-out', `${name}.crt`, '-copy_extensions', 'copy', '-days', '2']
  openssl(folder, 'x509', '-req', ...signed, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial')
}
