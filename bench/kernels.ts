/**
 * How fast the kernels are: elements a second on one core, with operands that stay in cache.
 * `npm run build && node dist/bench/kernels.js` prints a table.
 *
 * Each operation runs often enough first for V8 to optimize it; then the best of many rounds counts, the two kernels
 * taking turns, so that other work on the machine disturbs the ratio as little as it can.
 */

import { pathToFileURL } from "node:url";
import type { Kernel } from "../src/kernel/kernel.js";
import { compileKernel, instantiateKernel } from "../src/kernel/select.js";
import { bytesOf, type FloatDType, type QuantizedDType, type SumDType } from "../src/tensor.js";

export interface Row {
  readonly operation: string;
  /** Elements a second, in the unit 1e9. */
  readonly reference: number;
  /** Elements a second, in the unit 1e9. */
  readonly simd: number;
  /** simd / reference. */
  readonly ratio: number;
}

/** Three operands of F64 take 192 KiB, of F16 48 KiB. */
const COUNT = 8192;
const REGION_BYTES = COUNT * 8;
const [FIRST, SECOND, THIRD] = [0, REGION_BYTES, 2 * REGION_BYTES];
const ROUNDS = 40;
const ROUND_MILLISECONDS = 4;
const WARM_UP_CALLS = 400;

type Operation = (kernel: Kernel) => void;

/** Normally distributed numbers, as weights (deviation 0.02) and deltas (0.0005) are. */
function fillWeights(kernel: Kernel, dtype: FloatDType, offset: number, deviation: number): void {
  const wide = new Float64Array(COUNT);
  for (let i = 0; i < COUNT; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    wide[i] = deviation * radius * Math.cos(2 * Math.PI * Math.random());
  }
  const bytes = new Uint8Array(wide.buffer);
  if (dtype === "F64") {
    kernel.memory.set(bytes, offset);
    return;
  }
  kernel.memory.set(bytes, THIRD);
  kernel.convert("F64", dtype, THIRD, offset, COUNT);
}

/** Seconds that one call takes. */
function timeRound(operation: Operation, kernel: Kernel): number {
  const start = performance.now();
  let calls = 0;
  let elapsed = 0;
  do {
    operation(kernel);
    calls++;
    elapsed = performance.now() - start;
  } while (elapsed < ROUND_MILLISECONDS);
  return elapsed / calls / 1000;
}

function measure(name: string, operation: Operation, reference: Kernel, simd: Kernel): Row {
  const best = new Map<Kernel, number>();
  for (const kernel of [reference, simd]) {
    for (let call = 0; call < WARM_UP_CALLS; call++) operation(kernel);
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const kernel of [reference, simd]) {
      best.set(kernel, Math.min(best.get(kernel) ?? Infinity, timeRound(operation, kernel)));
    }
  }
  const rate = (kernel: Kernel) => COUNT / (best.get(kernel) ?? Infinity) / 1e9;
  return {
    operation: name,
    reference: rate(reference),
    simd: rate(simd),
    ratio: rate(simd) / rate(reference),
  };
}

/** Measures every operation of both kernels; takes about ten seconds. */
export async function benchKernels(): Promise<Row[]> {
  const memoryByteLength = 3 * REGION_BYTES;
  const reference = instantiateKernel(await compileKernel("reference"), memoryByteLength);
  const simd = instantiateKernel(await compileKernel("simd"), memoryByteLength);
  const rows: Row[] = [];
  for (const dtype of ["F16", "BF16", "F32"] satisfies SumDType[]) {
    for (const kernel of [reference, simd]) {
      fillWeights(kernel, dtype, FIRST, 0.02);
      fillWeights(kernel, dtype, SECOND, 0.0005);
    }
    const add: Operation = (kernel) => kernel.add(dtype, FIRST, SECOND, THIRD, COUNT);
    rows.push(measure(`add ${dtype}`, add, reference, simd));
  }
  for (const from of ["F16", "BF16", "F32", "F64"] satisfies FloatDType[]) {
    for (const kernel of [reference, simd]) fillWeights(kernel, from, FIRST, 0.02);
    for (const to of ["F16", "BF16", "F32"] satisfies SumDType[]) {
      if (from === to) continue;
      const convert: Operation = (kernel) => kernel.convert(from, to, FIRST, THIRD, COUNT);
      rows.push(measure(`${from} to ${to}`, convert, reference, simd));
    }
  }
  for (const kernel of [reference, simd]) fillWeights(kernel, "F32", FIRST, 0.02);
  for (const to of ["Q8_0", "Q4_0"] satisfies QuantizedDType[]) {
    const quantize: Operation = (kernel) => kernel.quantize(to, FIRST, THIRD, COUNT);
    rows.push(measure(`F32 to ${to}`, quantize, reference, simd));
  }
  return rows;
}

/** Prints one line an operation. */
export function printTable(rows: readonly Row[]): void {
  console.log(`1e9 elements a second, one core, ${bytesOf("F16") * COUNT} bytes of F16 in cache`);
  console.log("operation     reference   simd    ratio");
  for (const { operation, reference, simd, ratio } of rows) {
    const numbers = [
      reference.toFixed(2).padStart(9),
      simd.toFixed(2).padStart(7),
      ratio.toFixed(1).padStart(8),
    ];
    console.log(operation.padEnd(13), ...numbers);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) printTable(await benchKernels());
