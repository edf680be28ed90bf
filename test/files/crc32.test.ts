/** Checksums of parts, joined to that of the whole. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { joinCrc32 } from "../../src/files/crc32.js";

test("the check value of the CRC catalogues, and nothing's", () => {
  const [head, tail] = ["12345", "6789"].map((text) => crc32(Buffer.from(text, "latin1")));
  assert.equal(joinCrc32(head as number, tail as number, 4), 0xcbf43926);
  assert.equal(joinCrc32(0, 0, 0), 0);
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
