/**
 * The random numbers of styleganv (noise.py): Philox 4×64 with 10 rounds, made normal by Box–Muller in float64.
 *
 * Philox is counter-based: the key (seed, stream) and the block give the numbers directly, so they are the same in any
 * order, and block 10⁷ costs as much as block 0.
 */

export const CONTENT = 1, MOTION = 2, CLASS = 3;

const MASK = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];

/** Return the four 64-bit integers of one counter. */
function philox(counter, key) {
  let [a, b, c, d] = counter, [k, l] = key;
  for (let round = 0; round < 10; round++) {
    const left = MULTIPLIERS[0] * a, right = MULTIPLIERS[1] * c;
    [a, b, c, d] = [(right >> 64n) ^ b ^ k, right & MASK, (left >> 64n) ^ d ^ l, left & MASK];
    k = (k + WEYL[0]) & MASK;
    l = (l + WEYL[1]) & MASK;
  }
  return [a, b, c, d];
}

/** Return `count` 64-bit integers. `seed` is a BigInt, as it can exceed the exact integers of a number. */
function integers(seed, stream, block, count) {
  const numbers = [];
  for (let index = 1n; numbers.length < count; index++) {
    numbers.push(...philox([index, BigInt(block), 0n, 0n], [seed & MASK, BigInt(stream)]));
  }
  return numbers.slice(0, count);
}

/** Return `count` standard normal numbers as a Float32Array, a pure function of (seed, stream, block). */
export function normal(seed, stream, block, count) {
  const half = Math.ceil(count / 2), normals = new Float32Array(2 * half);
  const uniform = integers(seed, stream, block, 2 * half).map((bits) => (Number(bits >> 11n) + 0.5) * 2 ** -53);
  for (let i = 0; i < half; i++) {
    const radius = Math.sqrt(-2 * Math.log(uniform[2 * i])), angle = 2 * Math.PI * uniform[2 * i + 1];
    normals[i] = radius * Math.cos(angle);
    normals[half + i] = radius * Math.sin(angle);
  }
  return normals.subarray(0, count);
}

/** Return an integer in 0 … below − 1, a pure function of (seed, stream). */
export function uniformInteger(seed, stream, below) {
  return Number(integers(seed, stream, 0, 1)[0] % BigInt(below));
}
