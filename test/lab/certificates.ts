/** Makes certificates for tests, by openssl(1). */
import { execFileSync } from 'node:child_process'

const openssl = (folder: string, ...words: string[]) =>
  execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' })

/** Makes an authority in a folder: ca.crt and ca.key. */
export function createAuthority(folder: string): void {
  const subject = ['-subj', '/CN=test authority', '-days', '2']
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
