/**
 * Makes a long run of bytes short without changing its CRC-32.
 *
 * A checksum is a remainder, so what is a multiple of the polynomial can be taken away. One such multiple is
 * y^300 + y^155 + y^117 + y^89 + 1 with y = x^128: a word of 16 bytes vanishes when it is added, without carry, to the
 * words 145, 183, 211 and 300 behind it. That is four XORs for 16 bytes and needs neither a table nor a carry-less
 * product, which WebAssembly lacks. (Found by trying all sums of five powers; test/kernel/crc32.test.ts proves it.)
 */

/** Words that are left, and the longest way a word is added to. */
const KEPT: usize = 300;

/** Words that are worked on at once: with those kept, as many as a core's nearest cache holds with ease. */
const BLOCK: usize = 724;

/**
 * Leaves KEPT words at `scratch` that have, as remainders go, the value of `words` words at `source` (more than
 * KEPT) whose first 32 bits are inverted, as CRC-32 begins. KEPT + BLOCK words of scratch are overwritten.
 */
export function foldCrc32(source: usize, words: usize, scratch: usize): void {
  const block = scratch + KEPT * 16;
  memory.fill(scratch, 0, KEPT * 16);
  // The first word differs from the source's: as if it had been added to from in front of the run.
  v128.store(scratch, i32x4(-1, 0, 0, 0));
  let left = words - KEPT;
  while (left > 0) {
    const count = min(left, BLOCK);
    const end = source + count * 16;
    let at = scratch;
    while (source < end) {
      const far = v128.xor(v128.load(at), v128.load(at, 89 * 16));
      const near = v128.xor(v128.load(at, 117 * 16), v128.load(at, 155 * 16));
      v128.store(at, v128.xor(v128.load(source), v128.xor(far, near)), KEPT * 16);
      source += 16;
      at += 16;
    }
    memory.copy(scratch, scratch + count * 16, KEPT * 16);
    left -= count;
  }
  memory.copy(block, source, KEPT * 16);
  addTo(block, scratch, 300);
  addTo(block, scratch + 89 * 16, 211);
  addTo(block, scratch + 117 * 16, 183);
  addTo(block, scratch + 155 * 16, 145);
  memory.copy(scratch, block, KEPT * 16);
}

function addTo(destination: usize, source: usize, words: usize): void {
  for (const end = source + words * 16; source < end; source += 16) {
    v128.store(destination, v128.xor(v128.load(destination), v128.load(source)));
    destination += 16;
  }
}
