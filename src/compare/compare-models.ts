/** Comparing, step by step: resolve, open, pair, compare tensors and files, judge. Reads both models whole. */
import { realpathSync } from "node:fs";
import { deltaOf } from "../base-check/judge-base.js";
import { baseSample } from "../base-check/sample-base.js";
import { sampleModels } from "../base-check/sample-models.js";
import type { TensorSample } from "../base-check/tensor-sample.js";
import { ApplyDeltaError } from "../errors.js";
import { bytesFetchedOf, type Checkpoint } from "../formats/open.js";
import { readRequest, withModels } from "../hub/models.js";
import { describeInterruption, type Pause, pauseFor, throwIfAborted } from "../interrupt.js";
import { compileKernel } from "../kernel/select.js";
import { isRotaryBuffer } from "../llama/tensor-names.js";
import { silentReporter } from "../progress.js";
import { holdsNumbers, isLocalFile, type TensorView } from "../tensor.js";
import { plural } from "../units.js";
import { defaultThreads } from "../workers/pool.js";
import { compareFiles } from "./compare-files.js";
import { compareTensors, QUANTUM_ERRORS, quantizedSide, type TensorPair } from "./compare-tensors.js";
import type { Comparison, FileComparison, TensorComparison } from "./documents.js";
import { type AlignedSides, alignGguf, isGguf } from "./gguf-sides.js";
import type { CompareOptions } from "./options.js";

export { type CompareOptions, compareOptions } from "./options.js";

/** Errors: those of finding and opening a checkpoint, and of its files; `bad-usage` where both are one model; `interrupted`. */
export async function compareModels(options: CompareOptions): Promise<Comparison> {
  const { hub, reporter, signal } = options;
  const request = (reference: string) => readRequest({ role: "model", reference });
  return describeInterruption("the comparison is not complete", () =>
    withModels([request(options.a), request(options.b)], { hub, reporter, signal }, async (a, b) =>
      compareCheckpoints(await a.open(), await b.open(), options),
    ),
  );
}

async function compareCheckpoints(
  a: Checkpoint,
  b: Checkpoint,
  options: CompareOptions,
): Promise<Comparison> {
  const start = performance.now();
  const { tolerance: absolute, relativeTolerance: relative, signal, reporter = silentReporter } = options;
  const isTolerant = absolute !== undefined || relative !== undefined;
  const tolerance = isTolerant ? { absolute: absolute ?? 0, relative: relative ?? 0 } : null;
  const { threads = defaultThreads([a, b]) } = options;
  refuseOneModel(a, b);
  const pause = pauseFor(signal);
  // First: they are small, and where one is broken nobody should wait for it.
  const aligned = isGguf(a) || isGguf(b) ? await alignGguf(a, b, pause) : null;
  const files = options.weightsOnly === true ? null : await filesOf(a, b, aligned, pause);
  const kernel = await compileKernel("auto", reporter);
  const { pairs, notes, ...unpaired } = pairTensors(aligned?.a ?? a.tensors, aligned?.b ?? b.tensors);
  throwIfAborted(signal);
  const compared = await compareTensors(pairs, {
    ...{ tolerance, kernel, threads, signal },
    onProgress: (progress) =>
      reporter.progress({ activity: "comparing", ...progress, bytesFetched: bytesFetchedOf([a, b]) }),
  }).finally(() => reporter.progressDone());
  // A GGUF has its vectors in F32, and its numbers rounded: what matters then is whether values agree.
  const isByValue = aligned?.isByValue ?? false;
  const verdict = judgeTensors(compared, isTolerant, isByValue);
  const { different } = verdict.tensors;
  const areMostDifferent = different > 0 && different * 2 >= pairs.length;
  const sample = areMostDifferent ? await sampleModels(baseSample, a, b, { reporter, signal, kernel }) : null;
  return {
    a: options.a,
    b: options.b,
    isEqual:
      different === 0 &&
      Object.values(unpaired).every((tensors) => tensors.length === 0) &&
      !files?.some((file) => file.isDifferent),
    tolerance,
    ...verdict,
    ...unpaired,
    files,
    notes: [...a.notes, ...b.notes, ...(aligned?.notes ?? []), ...notes, ...roundingNotes(pairs, isTolerant)],
    hints: sample === null ? [] : deltaHints(sample),
    seconds: (performance.now() - start) / 1000,
    threads: Math.max(1, threads),
  };
}

async function filesOf(
  a: Checkpoint,
  b: Checkpoint,
  aligned: AlignedSides | null,
  pause: Pause,
): Promise<FileComparison[]> {
  if (aligned === null) return compareFiles(a, b, pause);
  return aligned.keys === null ? [] : [aligned.keys];
}

/** What counts as equal to a rounded number, where the user didn't say it. */
function roundingNotes(pairs: readonly TensorPair[], isTolerant: boolean): string[] {
  const dtypes = isTolerant ? [] : pairs.flatMap((pair) => quantizedSide(pair) ?? []);
  return [...new Set(dtypes)].map(
    (dtype) =>
      `${dtype.toLowerCase()} was compared after dequantizing: a number within ${QUANTUM_ERRORS[dtype]} steps of its block counts as equal.`,
  );
}

/** The same folder and the same files: a typing error that would pass every check. */
function refuseOneModel(a: Checkpoint, b: Checkpoint): void {
  const placeOf = ({ folder, files }: Checkpoint) =>
    JSON.stringify([
      realpathSync(folder),
      ...files.map((file) => (isLocalFile(file) ? realpathSync(file.path) : file.path)),
    ]);
  if (placeOf(a) !== placeOf(b)) return;
  throw new ApplyDeltaError("bad-usage", "Both are the same model.", {
    file: a.path,
    expected: "two models in two places",
    got: a.path === b.path ? "one path twice" : `one model by two paths, also ${b.path}`,
    hint: "Give the model to check, and the one to check it against.",
  });
}

/** Pairs by exact names: each tensor of either side is in exactly one list, but for rotary buffers of one side alone. */
function pairTensors(ofA: readonly TensorView[], ofB: readonly TensorView[]) {
  const inA = new Set(ofA.map(({ name }) => name));
  const inB = new Map(ofB.map((tensor) => [tensor.name, tensor]));
  const aloneInA = ofA.filter(({ name }) => !inB.has(name));
  const aloneInB = ofB.filter(({ name }) => !inA.has(name));
  const both: TensorPair[] = ofA.flatMap((a) => {
    const b = inB.get(a.name);
    return b === undefined ? [] : [{ a, b }];
  });
  const [sameShape, otherShapes] = partition(both, ({ a, b }) => a.shape.join() === b.shape.join());
  const [pairs, otherDTypes] = partition(
    sameShape,
    ({ a, b }) => a.dtype === b.dtype || (holdsNumbers(a.dtype) && holdsNumbers(b.dtype)),
  );
  return {
    /** In the order of a. */
    pairs,
    onlyInA: aloneInA.filter(isWeight).map(({ name }) => name),
    onlyInB: aloneInB.filter(isWeight).map(({ name }) => name),
    otherShapes: otherShapes.map(({ a, b }) => ({ name: a.name, a: a.shape, b: b.shape })),
    otherDTypes: otherDTypes.map(({ a, b }) => ({ name: a.name, a: a.dtype, b: b.dtype })),
    notes: [...rotaryNotes("a", aloneInA), ...rotaryNotes("b", aloneInB)],
  };
}

function partition<T>(all: readonly T[], isFirst: (item: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((item) => !isFirst(item))];
}

const isWeight = ({ name }: TensorView) => !isRotaryBuffer(name);

function rotaryNotes(side: string, alone: readonly TensorView[]): string[] {
  const count = alone.length - alone.filter(isWeight).length;
  if (count === 0) return [];
  const buffers = `${plural(count, "rotary buffer")} (rotary_emb.inv_freq)`;
  return [`only ${side} has ${buffers}: no difference, since loaders compute them.`];
}

function judgeTensors(
  compared: readonly TensorComparison[],
  isTolerant: boolean,
  isByValue: boolean,
): Pick<Comparison, "tensors" | "elements" | "differing"> {
  const differing = compared
    // No elements, no bits.
    .filter(({ dtypes, differentBits }) => dtypes.a !== dtypes.b || differentBits !== 0)
    .sort(byDifference)
    .map((tensor) => ({
      ...tensor,
      isWithinTolerance:
        tensor.beyondTolerance === 0 && (isTolerant || (isByValue && tensor.dtypes.a !== tensor.dtypes.b)),
    }));
  const different = differing.filter(({ isWithinTolerance }) => !isWithinTolerance).length;
  return {
    tensors: {
      compared: compared.length,
      equalBits: compared.length - differing.length,
      withinTolerance: differing.length - different,
      different,
    },
    elements: compared.reduce((sum, { elements }) => sum + elements, 0),
    differing,
  };
}

/** The most different first: NaN against a number, then by the largest difference, then by how many. */
function byDifference(x: TensorComparison, y: TensorComparison): number {
  return (
    y.notFinite - x.notFinite ||
    (y.largestAbsolute?.difference ?? 0) - (x.largestAbsolute?.difference ?? 0) ||
    (y.differentValues ?? 0) - (x.differentValues ?? 0) ||
    (y.differentBits ?? 0) - (x.differentBits ?? 0)
  );
}

/** Where most tensors differ, one model may be a delta. */
function deltaHints(samples: readonly TensorSample[]): string[] {
  const delta = deltaOf(samples);
  if (delta === null) return [];
  const [small, large] = delta === "base" ? ["a", "b"] : ["b", "a"];
  return [
    `${small} looks like a delta: its values are much smaller than those of ${large}. Apply it to its base, then compare the result.`,
  ];
}
