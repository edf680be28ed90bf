/** Every kernel's blocks against gguf-py's (fixtures/kernel/make_blocks.py), and against each other for any bits. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { dequantizeBlocks } from "../../src/kernel/blocks.js";
import type { Kernel } from "../../src/kernel/kernel.js";
import { bitsOf, type QuantizedDType } from "../../src/tensor.js";
import { fixturePath } from "../support/fixture-path.js";
import { bytesOfBits, KERNELS } from "./kernels-under-test.js";
import { anyNumbers, drawFrom, edgeNumbers } from "./samples.js";

const TYPES: readonly QuantizedDType[] = ["Q8_0", "Q4_0"];

const blockBytes = (dtype: QuantizedDType) => 4 * bitsOf(dtype);

/** The blocks of these numbers, which are read and written at odd places. */
function quantized(kernel: Kernel, to: QuantizedDType, numbers: Uint8Array, shift = 0): Buffer {
  const end = 3 + numbers.length + shift;
  const byteLength = (numbers.length / 128) * blockBytes(to);
  kernel.memory.fill(0xa5, 0, end + byteLength + 16);
  kernel.memory.set(numbers, 3);
  kernel.quantize(to, 3, end, numbers.length / 4);
  const behind = kernel.memory.subarray(end + byteLength, end + byteLength + 16);
  assert.ok(
    behind.every((byte) => byte === 0xa5),
    "wrote behind the blocks",
  );
  return Buffer.from(kernel.memory.subarray(end, end + byteLength));
}

/** Fails with the first block that differs. */
function assertSameBlocks(got: Buffer, expected: Buffer, to: QuantizedDType, what: string): void {
  for (let at = 0; at < expected.length; at += blockBytes(to)) {
    const blockOf = (buffer: Buffer) => buffer.toString("hex", at, at + blockBytes(to));
    assert.equal(blockOf(got), blockOf(expected), `${what}, block ${at / blockBytes(to)}`);
  }
}

function readGolden(): { numbers: Buffer; Q8_0: Buffer; Q4_0: Buffer } {
  const file = readFileSync(fixturePath("kernel/quantize.bin"));
  const blocks = file.length / (128 + blockBytes("Q8_0") + blockBytes("Q4_0"));
  assert.equal(blocks, 512);
  const rest = file.subarray(128 * blocks);
  return {
    numbers: file.subarray(0, 128 * blocks),
    Q8_0: rest.subarray(0, blocks * blockBytes("Q8_0")),
    Q4_0: rest.subarray(blocks * blockBytes("Q8_0")),
  };
}

const golden = readGolden();

for (const kernel of KERNELS) {
  for (const to of TYPES) {
    test(`${kernel.name} gives gguf-py's ${to}, wherever the numbers lie`, () => {
      for (let shift = 0; shift < 16; shift++) {
        assertSameBlocks(quantized(kernel, to, golden.numbers, shift), golden[to], to, `shift ${shift}`);
      }
    });
    test(`${kernel.name} refuses ${to} out of memory, and parts of blocks`, () => {
      const { length } = kernel.memory;
      for (const [source, destination, count] of [
        [length - 124, 0, 32],
        [0, length - blockBytes(to) + 1, 32],
        [-1, 0, 32],
        [0, 128, 31],
      ] as const) {
        assert.throws(() => kernel.quantize(to, source, destination, count), RangeError);
      }
    });
  }
}

describe("both kernels give the same blocks", () => {
  const [reference, simd] = KERNELS as [Kernel, Kernel];
  const kinds = {
    "any bits": anyNumbers("F32", 32 * 2000, 5),
    "edge numbers": drawFrom("F32", edgeNumbers("F32"), 32 * 2000, 6),
    subnormals: Uint32Array.from(anyNumbers("F32", 32 * 500, 7) as Uint32Array, (bits) => bits & 0x800fffff),
    "zeros of either sign": Uint32Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? 0x80000000 : 0)),
  };
  for (const [kind, bits] of Object.entries(kinds)) {
    for (const to of TYPES) {
      test(`${to} of ${kind}`, () => {
        const numbers = bytesOfBits(bits);
        assertSameBlocks(quantized(simd, to, numbers), quantized(reference, to, numbers), to, kind);
      });
    }
  }
});

test("blocks become numbers again: scale times quantum", () => {
  const scale = 0.75;
  const widen = (bits: number) => (bits === 0x3a00 ? scale : Number.NaN);
  const quanta = Int8Array.from({ length: 32 }, (_, i) => (i === 31 ? -127 : i - 5));
  const q8 = Buffer.concat([Buffer.of(0x00, 0x3a), Buffer.from(quanta.buffer)]);
  const numbers = new Float32Array(32);
  dequantizeBlocks("Q8_0", q8, numbers, widen);
  assert.deepEqual(
    [...numbers],
    Array.from(quanta, (quantum) => scale * quantum),
  );
  const nibbles = Buffer.from(Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4)));
  dequantizeBlocks("Q4_0", Buffer.concat([Buffer.of(0x00, 0x3a), nibbles]), numbers, widen);
  assert.deepEqual(
    [...numbers],
    Array.from({ length: 32 }, (_, i) => scale * ((i < 16 ? i : 31 - i) - 8)),
  );
});
