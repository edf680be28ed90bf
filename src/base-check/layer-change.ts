/**
 * How large a change is, layer by layer and kind by kind: rms of the change over rms of the base. A whole read of 7B is
 * 27 GB, this samples some MB of it: of 0.3e9 parameters of noise no ratio was off by more than 0.2%; it wasn't measured
 * on tuned weights. The runs are spread evenly over every tensor, small tensors are read whole, and a tensor counts by
 * its own size, not by its sample's.
 * Layers and the whole are measured over the matrices: the values of a norm's vector are some fifty times a matrix's
 * and hardly change, so that they would hide what the layer did. Vectors are measured by kind.
 */

import { gather, openView } from "../files/gather.js";
import { noPause, type Pause } from "../interrupt.js";
import type { Kernel } from "../kernel/kernel.js";
import { instantiateKernel } from "../kernel/select.js";
import { EMBEDDING, isRotaryBuffer, LM_HEAD, layerOf } from "../llama/tensor-names.js";
import { sumOf } from "../units.js";
import type { Sample } from "../workers/sample.js";
import type { ChangeSize, LayerChange } from "./documents.js";
import { MODEL_RATIO } from "./judge-tensors.js";
import {
  type ElementRun,
  inFileOrder,
  MAX_RUN_ELEMENTS,
  type PairJob,
  pairViews,
  rangesOfRuns,
  sharedCount,
  spreadRuns,
  type View,
  type ViewPair,
  wholeRuns,
} from "./sampled-pairs.js";

/** Elements sampled in all, shared out evenly over the tensors; 32 MB of each side in float16. */
const SAMPLE_ELEMENTS = 16 * 1024 * 1024;

/** Places in each tensor where a run is sampled, at least. */
const FEWEST_RUNS = 6;

/** The kernel's memory: a run of each side as it is read (float64 perhaps), then as float32. */
const [BASE_AT, OTHER_AT, BASE_F32_AT, OTHER_F32_AT] = [0, 8, 16, 20].map(
  (bytes) => bytes * MAX_RUN_ELEMENTS,
) as [number, number, number, number];

/** What a kernel for `measureChange` needs. */
export const CHANGE_MEMORY_BYTES = OTHER_F32_AT + 4 * MAX_RUN_ELEMENTS;

/** Sums over elements; `weight` elements stand for the sample. */
interface Squares {
  base: number;
  /** Of the second model's own values. */
  own: number;
  /** Of its values less the base's. */
  difference: number;
  weight: number;
}

interface Place {
  readonly part: string;
  readonly layer: number | null;
  readonly kind: string;
}

interface MeasuredTensor extends Place {
  readonly isMatrix: boolean;
  readonly squares: Squares;
}

export const changeSample: Sample<PairJob, LayerChange | null> = {
  module: new URL("./layer-change.js", import.meta.url).href,
  runJob,
  *rangesOf({ base, other }) {
    const pairs = pairViews(base, other);
    const perTensor = Math.ceil(SAMPLE_ELEMENTS / Math.max(1, pairs.length));
    for (const pair of inFileOrder(pairs))
      yield* rangesOfRuns(runsOf(sharedCount(pair), perTensor).map((run) => ({ pair, ...run })));
  },
};

export function runJob({ base, other, kernel }: PairJob, pause = noPause): Promise<LayerChange | null> {
  return measureChange(base, other, instantiateKernel(kernel, CHANGE_MEMORY_BYTES), pause);
}

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
  const pairs = pairViews(base, other);
  if (pairs.length === 0) return null;
  const sampler = new Sampler(kernel);
  const perTensor = Math.ceil(sampleElements / pairs.length);
  const squares = new Map<ViewPair, Squares>();
  for (const pair of inFileOrder(pairs)) {
    await pause();
    squares.set(pair, sampler.sample(pair, perTensor));
  }
  const measured = pairs.map((pair): MeasuredTensor => {
    const { name, shape } = pair[1];
    return { ...placeOf(name), isMatrix: shape.length > 1, squares: squares.get(pair) as Squares };
  });
  const compared = new Set(pairs.map(([, { name }]) => name));
  const names = new Set([...other, ...base].map(({ name }) => name).filter((name) => !isRotaryBuffer(name)));
  return {
    ...sizesOf(measured),
    tensorsCompared: pairs.length,
    tensorsNotCompared: [...names].filter((name) => !compared.has(name)),
    elementsCompared: sum(measured).weight,
    elementsSampled: sampler.elementsSampled,
    notFinite: sampler.notFinite,
  };
}

function sizesOf(
  measured: readonly MeasuredTensor[],
): Pick<LayerChange, "comparedAs" | "overall" | "parts" | "kinds"> {
  const onlyMatrices = measured.filter(({ isMatrix }) => isMatrix);
  const matrices = onlyMatrices.length > 0 ? onlyMatrices : measured;
  const overall = sum(matrices);
  const comparedAs = overall.own <= MODEL_RATIO ** 2 * overall.base ? "delta" : "difference";
  return {
    comparedAs,
    overall: sizeOf(overall, comparedAs),
    parts: groups(matrices, ({ part, layer }) => `${part} ${layer}`).map((group) => ({
      part: group[0].part,
      layer: group[0].layer,
      ...sizeOf(sum(group), comparedAs),
    })),
    kinds: groups(measured, ({ kind }) => kind).map((group) => ({
      kind: group[0].kind,
      ...sizeOf(sum(group), comparedAs),
    })),
  };
}

const PARTS: Record<string, string> = { [EMBEDDING]: "embed", [LM_HEAD]: "head" };

function placeOf(name: string): Place {
  const moduleName = name.slice(0, Math.max(name.lastIndexOf("."), 0)) || name;
  const kind = moduleName.slice(moduleName.lastIndexOf(".") + 1);
  const layer = layerOf(name);
  return { part: layer === null ? (PARTS[name] ?? moduleName) : "layer", layer, kind };
}

class Sampler {
  elementsSampled = 0;
  notFinite = 0;

  constructor(readonly kernel: Kernel) {}

  sample(pair: ViewPair, budget: number): Squares {
    const count = sharedCount(pair);
    const squares: Squares = { base: 0, own: 0, difference: 0, weight: 0 };
    for (const run of runsOf(count, budget)) this.#add(pair, run, squares);
    const { weight } = squares;
    const scale = weight === 0 ? 0 : count / weight;
    return {
      base: squares.base * scale,
      own: squares.own * scale,
      difference: squares.difference * scale,
      weight: count,
    };
  }

  #add([base, other]: ViewPair, { first, count }: ElementRun, squares: Squares): void {
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

/** The whole tensor where the budget allows, else runs from its first element to its last. */
function runsOf(total: number, budget: number): ElementRun[] {
  if (total <= budget) return wholeRuns(total);
  const count = Math.min(MAX_RUN_ELEMENTS, Math.ceil(budget / FEWEST_RUNS));
  return spreadRuns(total, count, Math.ceil(budget / count));
}

function sum(all: readonly MeasuredTensor[]): Squares {
  const total = (of: keyof Squares) => sumOf(all, ({ squares }) => squares[of]);
  return {
    base: total("base"),
    own: total("own"),
    difference: total("difference"),
    weight: total("weight"),
  };
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
