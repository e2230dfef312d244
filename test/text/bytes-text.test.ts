import t from 'tap'
import { textOfBytes } from '../../src/text/bytes-text.js'

t.test('bytes that are no UTF-8 are escaped one by one, and none is lost', async (t) => {
  t.equal(textOfBytes(Buffer.from('/usr/bin/größe')), '/usr/bin/größe')
  t.equal(textOfBytes(Buffer.from([0x2f, 0x9b, 0x41, 0xff])), '/\\x9bA\\xff')
  t.equal(textOfBytes(Buffer.alloc(0)), '')
})
