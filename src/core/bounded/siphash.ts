/**
 * Hashes the keys of tables whose entries an attacker chooses. Without the secret key nobody can choose
 * entries that collide. Hashes without a strong key (Murmur and others) have collisions that hold for every
 * seed.
 */

/**
 * Computes HalfSipHash-1-3 with 32 bits of output, as the kernel's hsiphash does on 32-bit machines
 * (include/linux/siphash.h).
 *
 * @param key 64 random bits in two words, secret
 * @param words the message
 * @param count how many of `words` are hashed
 * @param final the last block. It must differ for messages of different lengths; the original has the number
 *   of bytes in the top byte
 * @returns 32 bits, as a signed number
 */
export function halfSipHash(key: Uint32Array, words: Uint32Array, count: number, final: number): number {
  let v0 = key[0]! | 0
  let v1 = key[1]! | 0
  let v2 = v0 ^ 0x6c796765
  let v3 = v1 ^ 0x74656462
  // The message, the last block, then three rounds without input.
  for (let i = 0; i < count + 4; i++) {
    const block = i < count ? words[i]! | 0 : i === count ? final : 0
    if (i === count + 1) v2 ^= 0xff
    v3 ^= block
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= block
  }
  return v1 ^ v3
}

/** Characters of a text that are hashed: more than a name has (RFC 1035, section 2.3.4). */
const CHARACTERS = 256
const scratch = new Uint32Array(CHARACTERS)

/** Hashes a text as `halfSipHash` does. @param key 64 random bits in two words, secret @returns 32 bits, as a signed number */
export function hashText(key: Uint32Array, text: string): number {
  const length = Math.min(text.length, CHARACTERS)
  for (let i = 0; i < length; i++) scratch[i] = text.charCodeAt(i)
  return halfSipHash(key, scratch, length, length)
}
