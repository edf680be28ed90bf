/**
 * In: the tensors of a base and of a delta (or of a tuned model). Out: how large the change is, layer by layer and
 * kind by kind: rms of the change over rms of the base.
 * Sampled: a whole read of 7B is 27 GB, this reads 65 MB of it (measured with 1.5e9 parameters: 0.4 s instead of 33,
 * and no layer's or kind's ratio off by more than 0.14% of itself). The runs are spread evenly over every tensor,
 * small tensors are read whole, and a tensor counts by its own size, not by its sample's.
 * Layers and the whole are measured over the matrices: the values of a norm's vector are some fifty times a matrix's
 * and hardly change, so that they would hide what the layer did. Vectors are measured by kind.
 * Guards: what can't be compared is named, not left out.
 */

import { gather, openView } from "../files/gather.js";
import type { Pause } from "../interrupt.js";
import type { Kernel } from "../kernel/kernel.js";
import { EMBEDDING, isRotaryBuffer, LM_HEAD, layerOf } from "../llama/tensor-names.js";
import { elementCount, isFloatDType, type ReadableFile, type TensorView } from "../tensor.js";
import type { ChangeSize, LayerChange } from "./documents.js";
import type { SampledRun } from "./sampled-run.js";

/** Elements sampled in all, shared out evenly over the tensors; 32 MB of each side in float16. */
const SAMPLE_ELEMENTS = 16 * 1024 * 1024;

/** Places in each tensor where a run is sampled, at least. */
const FEWEST_RUNS = 16;

/** Longest run; also what the kernel's memory is sized by. */
const MAX_RUN_ELEMENTS = 16 * 1024;

/** The kernel's memory: a run of each side as it is read (float64 perhaps), then as float32. */
const [BASE_AT, OTHER_AT, BASE_F32_AT, OTHER_F32_AT] = [0, 8, 16, 20].map(
  (bytes) => bytes * MAX_RUN_ELEMENTS,
) as [number, number, number, number];

/** What a kernel for `measureChange` needs. */
export const CHANGE_MEMORY_BYTES = OTHER_F32_AT + 4 * MAX_RUN_ELEMENTS;

/** A delta's rms is a tenth of the base's or less; where it comes to half, it is a model of its own (judge-base.ts). */
export const MODEL_RATIO = 0.5;

/** Sums over elements; `weight` elements stand for the sample. */
interface Squares {
  base: number;
  /** Of the second model's own values. */
  own: number;
  /** Of its values less the base's. */
  difference: number;
  weight: number;
}

/** Where in the model a tensor belongs. */
interface Place {
  readonly part: string;
  readonly layer: number | null;
  readonly kind: string;
}

interface MeasuredTensor extends Place {
  readonly isMatrix: boolean;
  readonly squares: Squares;
}

type View = TensorView<ReadableFile>;

/**
 * Null where the two have no tensor in common that could be compared. Pauses before each tensor. `sampleElements`: to
 * read in all.
 */
export async function measureChange(
  base: readonly View[],
  other: readonly View[],
  kernel: Kernel,
  pause: Pause,
  sampleElements = SAMPLE_ELEMENTS,
): Promise<LayerChange | null> {
  const pairs = weightPairs(base, other);
  if (pairs.length === 0) return null;
  const sampler = new Sampler(kernel);
  const perTensor = Math.ceil(sampleElements / pairs.length);
  const measured: MeasuredTensor[] = [];
  for (const [fromBase, tensor] of pairs) {
    await pause();
    const squares = sampler.sample(fromBase, tensor, perTensor);
    measured.push({ ...placeOf(tensor.name), isMatrix: tensor.shape.length > 1, squares });
  }
  const matrices = measured.some(({ isMatrix }) => isMatrix)
    ? measured.filter(({ isMatrix }) => isMatrix)
    : measured;
  const overall = sum(matrices.map(({ squares }) => squares));
  const isDelta = overall.own <= MODEL_RATIO ** 2 * overall.base;
  const comparedAs = isDelta ? "delta" : "difference";
  const size = (squares: readonly Squares[]) => sizeOf(sum(squares), comparedAs);
  const compared = new Set(pairs.map(([, { name }]) => name));
  const names = new Set([...other, ...base].filter(isWeight).map(({ name }) => name));
  return {
    comparedAs,
    overall: sizeOf(overall, comparedAs),
    parts: groups(matrices, ({ part, layer }) => `${part} ${layer}`).map((group) => ({
      part: group[0].part,
      layer: group[0].layer,
      ...size(group.map(({ squares }) => squares)),
    })),
    kinds: groups(measured, ({ kind }) => kind).map((group) => ({
      kind: group[0].kind,
      ...size(group.map(({ squares }) => squares)),
    })),
    tensorsCompared: pairs.length,
    tensorsNotCompared: [...names].filter((name) => !compared.has(name)),
    elementsCompared: sum(measured.map(({ squares }) => squares)).weight,
    elementsSampled: sampler.elementsSampled,
    notFinite: sampler.notFinite,
  };
}

/** What `measureChange` reads, in its order. */
export function* changeRuns(base: readonly View[], other: readonly View[]): Generator<SampledRun> {
  const pairs = weightPairs(base, other);
  const perTensor = Math.ceil(SAMPLE_ELEMENTS / Math.max(1, pairs.length));
  for (const [fromBase, fromOther] of pairs) {
    for (const run of runsOf(countOf(fromBase, fromOther), perTensor))
      yield { base: fromBase, other: fromOther, ...run };
  }
}

function weightPairs(base: readonly View[], other: readonly View[]) {
  const byName = new Map(base.filter(isWeight).map((tensor) => [tensor.name, tensor]));
  return other.filter(isWeight).flatMap((tensor) => {
    const partner = byName.get(tensor.name);
    return partner !== undefined && isComparable(partner, tensor) ? [[partner, tensor] as const] : [];
  });
}

/** Elements of the rows that both have. */
function countOf(base: View, other: View): number {
  return Math.min(elementCount(base.shape), elementCount(other.shape));
}

function isWeight({ name }: View): boolean {
  return !isRotaryBuffer(name);
}

/** Floats of the same shape, but for rows that one side has more of: those of added tokens. */
function isComparable(base: View, other: View): boolean {
  const rest = (shape: readonly number[]) => shape.slice(1).join();
  const rowsMayDiffer = base.shape.length === 2;
  return (
    base.shape.length === other.shape.length &&
    rest(base.shape) === rest(other.shape) &&
    (rowsMayDiffer || base.shape[0] === other.shape[0]) &&
    elementCount(base.shape) > 0 &&
    elementCount(other.shape) > 0 &&
    isFloatDType(base.dtype) &&
    isFloatDType(other.dtype)
  );
}

const PARTS: Record<string, string> = { [EMBEDDING]: "embed", [LM_HEAD]: "head" };

function placeOf(name: string): Place {
  const moduleName = name.slice(0, Math.max(name.lastIndexOf("."), 0)) || name;
  const kind = moduleName.slice(moduleName.lastIndexOf(".") + 1);
  const layer = layerOf(name);
  return { part: layer === null ? (PARTS[name] ?? moduleName) : "layer", layer, kind };
}

/** Reads runs of both sides and adds up squares. */
class Sampler {
  elementsSampled = 0;
  notFinite = 0;

  constructor(readonly kernel: Kernel) {}

  sample(base: View, other: View, budget: number): Squares {
    const count = countOf(base, other);
    const squares: Squares = { base: 0, own: 0, difference: 0, weight: 0 };
    for (const { first, length } of runsOf(count, budget)) this.#add(base, other, first, length, squares);
    const { weight } = squares;
    const scale = weight === 0 ? 0 : count / weight;
    return {
      base: squares.base * scale,
      own: squares.own * scale,
      difference: squares.difference * scale,
      weight: count,
    };
  }

  #add(base: View, other: View, first: number, count: number, squares: Squares): void {
    const fromBase = this.#read(base, first, count, BASE_AT, BASE_F32_AT);
    const values = this.#read(other, first, count, OTHER_AT, OTHER_F32_AT);
    this.elementsSampled += count;
    for (let i = 0; i < count; i++) {
      const b = fromBase[i] as number;
      const d = values[i] as number;
      if (!Number.isFinite(b) || !Number.isFinite(d)) {
        this.notFinite++;
        continue;
      }
      squares.base += b * b;
      squares.own += d * d;
      squares.difference += (d - b) * (d - b);
      squares.weight++;
    }
  }

  #read(tensor: View, first: number, count: number, at: number, floatsAt: number): Float32Array {
    const { memory } = this.kernel;
    const view = openView(tensor);
    gather(view, first, count, memory, at);
    this.kernel.convert(view.dtype, "F32", at, floatsAt, count);
    return new Float32Array(memory.buffer, memory.byteOffset + floatsAt, count);
  }
}

/** The whole tensor where the budget allows, else runs from its first element to its last, evenly apart. */
function runsOf(count: number, budget: number): { first: number; length: number }[] {
  if (count <= budget) {
    const runs = Math.ceil(count / MAX_RUN_ELEMENTS);
    return Array.from({ length: runs }, (_, run) => ({
      first: run * MAX_RUN_ELEMENTS,
      length: Math.min(MAX_RUN_ELEMENTS, count - run * MAX_RUN_ELEMENTS),
    }));
  }
  const length = Math.min(MAX_RUN_ELEMENTS, Math.ceil(budget / FEWEST_RUNS));
  const runs = Math.ceil(budget / length);
  return Array.from({ length: runs }, (_, run) => ({
    first: Math.floor(((count - length) * run) / Math.max(1, runs - 1)),
    length,
  }));
}

function sum(all: readonly Squares[]): Squares {
  const total: Squares = { base: 0, own: 0, difference: 0, weight: 0 };
  for (const { base, own, difference, weight } of all) {
    total.base += base;
    total.own += own;
    total.difference += difference;
    total.weight += weight;
  }
  return total;
}

function sizeOf(squares: Squares, comparedAs: LayerChange["comparedAs"]): ChangeSize {
  const { base, own, difference, weight } = squares;
  const baseRms = Math.sqrt(base / weight);
  const changeRms = Math.sqrt((comparedAs === "delta" ? own : difference) / weight);
  return { baseRms, changeRms, ratio: baseRms === 0 ? null : changeRms / baseRms };
}

/** In order of first occurrence; no group is empty. */
function groups<T>(items: readonly T[], keyOf: (item: T) => string): [T, ...T[]][] {
  const byKey = new Map<string, [T, ...T[]]>();
  for (const item of items) {
    const group = byKey.get(keyOf(item));
    if (group === undefined) byKey.set(keyOf(item), [item]);
    else group.push(item);
  }
  return [...byKey.values()];
}
