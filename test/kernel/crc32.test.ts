/** CRC-32: the published check value, both ways the same, runs joined to wholes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32, crc32ByTable, joinCrc32 } from "../../src/kernel/crc32.js";
import { CRC32_SCRATCH_BYTES } from "../../src/kernel/kernel.js";
import { KERNELS } from "./kernels-under-test.js";

for (const [name, checksum] of Object.entries({ crc32, crc32ByTable })) {
  test(`${name}: the check value of the CRC catalogues, and nothing's`, () => {
    assert.equal(checksum(Buffer.from("123456789", "latin1")), 0xcbf43926);
    assert.equal(checksum(new Uint8Array(0)), 0);
  });
}

test("both ways give the same, wherever the bytes lie in memory", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(9), (bytes, start) => {
      const part = bytes.subarray(start);
      assert.equal(crc32ByTable(part), crc32(part));
    }),
  );
});

test("runs joined are the whole, however it is cut", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300), { maxLength: 5 }), (bytes, cuts) => {
      const ends = [...cuts, bytes.length].map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b);
      let joined = 0;
      let start = 0;
      for (const end of ends) {
        joined = joinCrc32(joined, crc32(bytes.subarray(start, end)), end - start);
        start = end;
      }
      assert.equal(joined, crc32(bytes));
    }),
  );
});

test("long runs, longer than a number of 32 bits, behave like zeros doubled", () => {
  let zeros = crc32(new Uint8Array(1));
  for (let byteLength = 1; byteLength < 2 ** 40; byteLength *= 2) {
    const [three, other] = [
      joinCrc32(joinCrc32(zeros, zeros, byteLength), zeros, byteLength),
      joinCrc32(zeros, joinCrc32(zeros, zeros, byteLength), 2 * byteLength),
    ];
    assert.equal(three, other);
    zeros = joinCrc32(zeros, zeros, byteLength);
  }
});

/** Numbers that repeat nowhere near: a linear congruence, its high bytes. */
function noise(byteLength: number): Uint8Array {
  let state = byteLength;
  return Uint8Array.from({ length: byteLength }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state >>> 24;
  });
}

for (const kernel of KERNELS) {
  test(`the ${kernel.name} kernel's, at every kind of length and place, and nothing but scratch changes`, () => {
    const block = 724 * 16;
    const kept = 300 * 16;
    const lengths = [
      0,
      1,
      15,
      16,
      kept - 1,
      kept,
      kept + 16,
      4 * kept - 1,
      4 * kept,
      4 * kept + 1,
      4 * kept + 17,
    ];
    lengths.push(
      kept + block,
      kept + block + 16,
      kept + 2 * block,
      kept + 5 * block + 31,
      2 ** 20,
      2 ** 21 + 5,
    );
    for (const [i, byteLength] of lengths.entries()) {
      const source = CRC32_SCRATCH_BYTES + (i % 5);
      const bytes = noise(byteLength);
      kernel.memory.fill(0x5a);
      kernel.memory.set(bytes, source);
      assert.equal(kernel.crc32(source, byteLength, 0), crc32ByTable(bytes), `${byteLength} bytes`);
      assert.ok(Buffer.from(kernel.memory.subarray(source, source + byteLength)).equals(bytes), "the source");
      const around = [
        kernel.memory.subarray(CRC32_SCRATCH_BYTES, source),
        kernel.memory.subarray(source + byteLength),
      ];
      for (const part of around)
        assert.ok(
          part.every((byte) => byte === 0x5a),
          "what is around it",
        );
    }
  });

  test(`the ${kernel.name} kernel's range must lie in memory, its scratch too`, () => {
    const end = kernel.memory.length;
    assert.throws(() => kernel.crc32(end - 4, 5, 0), RangeError);
    assert.throws(() => kernel.crc32(-1, 5, 0), RangeError);
    assert.throws(() => kernel.crc32(CRC32_SCRATCH_BYTES, 5, end - CRC32_SCRATCH_BYTES + 1), RangeError);
  });
}

test("every bit of a long run counts", () => {
  const byteLength = 2 ** 17 + 3;
  const bytes = noise(byteLength);
  for (const kernel of KERNELS) {
    for (let bit = 0; bit < 8 * byteLength; bit += 8191) {
      kernel.memory.set(bytes, CRC32_SCRATCH_BYTES);
      const at = CRC32_SCRATCH_BYTES + Math.floor(bit / 8);
      kernel.memory[at] = (kernel.memory[at] as number) ^ (1 << (bit % 8));
      const changed = kernel.memory.slice(CRC32_SCRATCH_BYTES, CRC32_SCRATCH_BYTES + byteLength);
      assert.equal(kernel.crc32(CRC32_SCRATCH_BYTES, byteLength, 0), crc32ByTable(changed), `bit ${bit}`);
    }
  }
});
