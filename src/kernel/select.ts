/** Which kernel runs: chosen and compiled once, instantiated in every thread. Asking for SIMD gives it or an error. */

import { readFile } from "node:fs/promises";
import { ApplyDeltaError } from "../errors.js";
import { type Reporter, silentReporter } from "../progress.js";
import { bytesOf, type FloatDType, type QuantizedDType, type SumDType } from "../tensor.js";
import { checkBlocks } from "./blocks.js";
import { checkRange, type Kernel, type KernelChoice, type Operation, type SumCounts } from "./kernel.js";
import { ReferenceKernel } from "./reference.js";

/** A kernel without memory; can be cloned to another thread, where the compiled code is shared. */
export type CompiledKernel =
  | {
      readonly name: "simd";
      readonly module: WebAssembly.Module;
      readonly isRequired: boolean;
      /** Whether the processor adds F32 subnormals about as fast as other numbers; then F16 are added faster. */
      readonly addsSubnormals: boolean;
    }
  | { readonly name: "reference" };

/** WebAssembly memory comes in pages of this many bytes (https://webassembly.github.io/spec/core, memory types). */
export const PAGE_BYTES = 65_536;

/** The functions that assembly/simd.ts exports; all parameters are byte offsets except the last, a count of elements. */
type SumFunction = (first: number, second: number, destination: number, count: number) => void;
type ConvertFunction = (source: number, destination: number, count: number) => void;
type Narrowing = { [From in FloatDType]: `convert${From}To${Exclude<SumDType, From>}` }[FloatDType];
type SimdExports = Record<`${Operation}${SumDType}` | "addF16AsIs", SumFunction> &
  Record<Narrowing | `quantize${QuantizedDType}`, ConvertFunction> &
  Record<keyof SumCounts, WebAssembly.Global>;

/** `(module (func (drop (v128.const i32x4 0 0 0 0))))`: valid only where WebAssembly has SIMD. */
const SIMD_PROBE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x0a, 0x17, 0x01, 0x15, 0x00, 0xfd, 0x0c],
  ...new Uint8Array(16),
  ...[0x1a, 0x0b],
);

/** Whether this machine's WebAssembly has SIMD. */
export function isSimdSupported(): boolean {
  return typeof WebAssembly === "object" && WebAssembly.validate(SIMD_PROBE);
}

/** What the reference kernel, which needs neither, is used for instead. */
const NO_SIMD = "this machine's WebAssembly has no SIMD";
const NO_MEMORY = "the system gives WebAssembly no memory (a limit such as `ulimit -v`)";

/**
 * Reads and compiles the chosen kernel; `auto` is SIMD where it can be had, else the reference, which the user is told.
 * Errors: `bad-usage`.
 */
export async function compileKernel(
  choice: KernelChoice,
  reporter: Pick<Reporter, "note"> = silentReporter,
): Promise<CompiledKernel> {
  if (choice === "reference") return { name: "reference" };
  const module = isSimdSupported() ? await compileModule() : null;
  const instead = module === null ? NO_SIMD : hasMemory(module) ? null : NO_MEMORY;
  if (module !== null && instead === null)
    return { name: "simd", module, isRequired: choice === "simd", addsSubnormals: addsSubnormals(module) };
  if (choice === "auto") {
    reporter.note(`the slower reference kernel does the work: ${instead}.`);
    return { name: "reference" };
  }
  throw new ApplyDeltaError("bad-usage", `There is no SIMD kernel: ${instead}.`, {
    hint: "Leave the kernel to be chosen, or ask for the reference kernel.",
  });
}

async function compileModule(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(new URL("./simd.wasm", import.meta.url)));
}

/** For each memory V8 sets aside some GB of addresses, which a limit may not allow. */
function hasMemory(module: WebAssembly.Module): boolean {
  try {
    createSimdKernel(module, 1, false);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** A processor that adds subnormals by microcode takes some ten times as long for a block of them. */
const MOST_SLOWDOWN = 3;
const [ONE, SUBNORMAL] = [0x3c00, 1];

/** Measured in a fraction of a millisecond. Whatever it says, the bits are the same. */
function addsSubnormals(module: WebAssembly.Module): boolean {
  const { memory, add } = createSimdKernel(module, 1, true);
  const count = memory.length / 16;
  const time = (bits: number): number => {
    new Uint16Array(memory.buffer).fill(bits);
    const runs = Array.from({ length: 4 }, () => {
      const start = performance.now();
      add("F16", 0, count * 2, 0, count);
      return performance.now() - start;
    });
    return Math.min(...runs);
  };
  // In this order: V8 may have compiled better code by the second one, which hides nothing that takes microcode.
  const usual = time(ONE);
  return time(SUBNORMAL) <= MOST_SLOWDOWN * usual;
}

/** Makes a kernel with a memory of its own: `memoryByteLength` bytes rounded up to whole pages, and no more. */
export function instantiateKernel(compiled: CompiledKernel, memoryByteLength: number): Kernel {
  const pages = Math.ceil(memoryByteLength / PAGE_BYTES);
  if (compiled.name === "reference") return new ReferenceKernel(pages * PAGE_BYTES);
  try {
    return createSimdKernel(compiled.module, pages, compiled.addsSubnormals);
  } catch (error) {
    // Enough for one thread, and not for this one: the bits are the same.
    if (error instanceof RangeError && !compiled.isRequired) return new ReferenceKernel(pages * PAGE_BYTES);
    throw error;
  }
}

function createSimdKernel(module: WebAssembly.Module, pages: number, asIs: boolean): Kernel {
  const linear = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const memory = new Uint8Array(linear.buffer);
  const instance = new WebAssembly.Instance(module, { env: { memory: linear } });
  const simd = instance.exports as unknown as SimdExports;
  const operation =
    (name: Operation): Kernel["add"] =>
    (dtype, first, second, destination, count) => {
      for (const offset of [first, second, destination]) checkRange(memory, dtype, offset, count);
      const called = `${name}${dtype}` as const;
      simd[asIs && called === "addF16" ? "addF16AsIs" : called](first, second, destination, count);
      return { inexact: simd.inexact.value, notFinite: simd.notFinite.value };
    };
  return {
    name: "simd",
    memory,
    convert(from, to, source, destination, count) {
      checkRange(memory, from, source, count);
      checkRange(memory, to, destination, count);
      if (from === to) memory.copyWithin(destination, source, source + count * bytesOf(from));
      else simd[`convert${from}To${to}` as Narrowing](source, destination, count);
    },
    add: operation("add"),
    subtract: operation("subtract"),
    quantize(to, source, destination, count) {
      checkRange(memory, "F32", source, count);
      checkRange(memory, to, destination, count);
      checkBlocks(to, count);
      simd[`quantize${to}`](source, destination, count);
    },
  };
}
