import t from 'tap'
import { isLoopbackHost, parseUrl } from '../../../src/host/mirrors/url.js'

const place = (text: string) => {
  const parsed = parseUrl(text)
  return parsed.ok ? `${parsed.value.scheme} ${parsed.value.host} ${parsed.value.port ?? '-'}` : parsed.reason
}

t.test('scheme, host and port of a URL are read in one form, however they are written', async (t) => {
  t.equal(place('HTTP://Mirror.Example.ORG./a'), 'http mirror.example.org -')
  t.equal(place('https://user:p%40ss@mirror.example.org:8443?x#y'), 'https mirror.example.org 8443')
  t.equal(place('http://[2001:DB8:0::1]:8080/'), 'http 2001:db8::1 8080')
  t.equal(place('http://bücher.example.org/'), 'http xn--bcher-kva.example.org -')
  t.equal(place('mirror+https://192.0.2.1'), 'mirror+https 192.0.2.1 -')
})

t.test('an explicit port is kept, also when it is the default of another scheme', async (t) => {
  t.equal(place('https://a.example.org:80/'), 'https a.example.org 80')
  t.equal(place('socks5h://a.example.org:443'), 'socks5h a.example.org 443')
  t.equal(place('http://a.example.org:80'), 'http a.example.org 80')
})

t.test('a URL that cannot be used gives the reason, which never contains a password', async (t) => {
  const bad = [
    '',
    'mirror.example.org',
    'http:/mirror.example.org',
    'http://',
    'http:///path',
    'http://s3cret:s3cret@',
    'http://u:s3/cret@mirror.example.org',
    'http://a b.example.org',
    'http://a\0b.example.org',
    'http://a\tb.example.org',
    'http://a.example.org:0',
    'http://a.example.org:65536',
    'http://_my.mirror.example.org',
    'http://[2001:db8::1',
    'http://[::ffff:192.0.2.1]/',
    'http://$s3.example.org',
    'http://s3cret:x@*.example.org',
  ]
  for (const text of bad) {
    const parsed = parseUrl(text)
    t.equal(parsed.ok, false, JSON.stringify(text))
    t.notMatch(parsed.ok ? '' : parsed.reason, 's3cret')
  }
  t.match(place('http://$release.example.org/$s3cret'), 'has $release in its host')
  t.equal(place('http://$user:$word@mirror.example.org/'), 'http mirror.example.org -')
  t.equal(place('http://mirror.example.org/$release'), 'http mirror.example.org -')
})

t.test('a loopback address is this host', async (t) => {
  for (const host of ['localhost', 'a.localhost', '127.0.0.1', '127.9.9.9', '::1'])
    t.equal(isLoopbackHost(host), true, host)
  for (const host of ['127.example.org', 'notlocalhost', '192.0.2.1', '2001:db8::1'])
    t.equal(isLoopbackHost(host), false, host)
})
