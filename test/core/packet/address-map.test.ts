/** Tests what the tests of AddressSet do not: values, and addresses that are not there. */
import t from 'tap'
import { AddressMap } from '../../../src/core/packet/address-map.js'
import { words } from '../packets.js'

t.test(
  'an address has its last value until it is deleted; to delete another one changes nothing',
  async (t) => {
    const map = new AddressMap<string>(Uint32Array.of(1, 2))
    const address = (text: string) => ({ family: text.includes(':') ? 6 : 4, words: words(text) }) as const
    const get = (text: string) => map.get(address(text).family, address(text).words)
    map.delete(address('203.0.113.1'))
    for (const text of ['203.0.113.1', '2001:db8::1']) {
      t.equal(get(text), undefined)
      map.set(address(text), 'one')
      map.set(address(text), 'two')
      t.equal(get(text), 'two')
      map.delete(address('203.0.113.2'))
      map.delete(address('2001:db8::2'))
      t.equal(get(text), 'two')
      map.delete(address(text))
      t.equal(get(text), undefined)
    }
  },
)
