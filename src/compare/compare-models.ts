/** Comparing, step by step: resolve, open, pair, compare tensors and files, judge. Reads both models whole. */

import { realpathSync } from "node:fs";
import { deltaOf } from "../base-check/judge-base.js";
import { baseSample } from "../base-check/sample-base.js";
import { type SampleModelsOptions, sampleModels } from "../base-check/sample-models.js";
import { ApplyDeltaError } from "../errors.js";
import { bytesFetchedOf, type Checkpoint } from "../formats/open.js";
import { readRequest, withModels } from "../hub/models.js";
import { describeInterruption, throwIfAborted } from "../interrupt.js";
import { compileKernel } from "../kernel/select.js";
import { silentReporter } from "../progress.js";
import { isLocalFile } from "../tensor.js";
import { plural } from "../units.js";
import { defaultThreads } from "../workers/default-threads.js";
import { compareFiles } from "./compare-files.js";
import { compareTensors } from "./compare-tensors.js";
import type { Comparison, TensorComparison } from "./documents.js";
import type { CompareOptions } from "./options.js";
import { type Pairing, pairTensors } from "./pair-tensors.js";

export { type CompareOptions, compareOptions } from "./options.js";

/** Errors: those of finding and opening a checkpoint, and of its files; `bad-usage` where both are one model; `interrupted`. */
export async function compareModels(options: CompareOptions): Promise<Comparison> {
  return describeInterruption("the comparison is not complete", () => compare(options));
}

async function compare(options: CompareOptions): Promise<Comparison> {
  const { hub, reporter, signal } = options;
  const requests = [
    readRequest({ role: "model", reference: options.a }),
    readRequest({ role: "model", reference: options.b }),
  ] as const;
  return withModels(requests, { hub, reporter, signal }, async (a, b) =>
    compareCheckpoints(await a.open(), await b.open(), options),
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
    got: a.path === b.path ? "one path twice" : `one model by two paths, also ${b.path}`,
    hint: "Give two models in two places.",
  });
}

async function compareCheckpoints(
  a: Checkpoint,
  b: Checkpoint,
  options: CompareOptions,
): Promise<Comparison> {
  const start = performance.now();
  const {
    tolerance: absolute,
    relativeTolerance: relative,
    signal,
    threads = defaultThreads([a, b]),
  } = options;
  const tolerance =
    absolute === undefined && relative === undefined
      ? null
      : { absolute: absolute ?? 0, relative: relative ?? 0 };
  refuseOneModel(a, b);
  // First: they are small, and where one is broken nobody should wait for it.
  const files = options.weightsOnly === true ? null : compareFiles(a.folder, b.folder);
  const kernel = await compileKernel("auto");
  const pairing = pairTensors(a.tensors, b.tensors);
  throwIfAborted(signal);
  const reporter = options.reporter ?? silentReporter;
  const compared = await compareTensors(pairing.pairs, {
    tolerance: tolerance ?? { absolute: 0, relative: 0 },
    kernel,
    threads,
    signal,
    onProgress: (progress) =>
      reporter.progress({ activity: "comparing", ...progress, bytesFetched: bytesFetchedOf([a, b]) }),
  }).finally(() => reporter.progressDone());
  const verdict = judgeTensors(compared, tolerance !== null);
  const { onlyInA, onlyInB, otherShapes, otherDTypes } = pairing;
  const notCompared = onlyInA.length + onlyInB.length + otherShapes.length + otherDTypes.length;
  const isDifferent = (files ?? []).some((file) => file.isDifferent);
  return {
    a: options.a,
    b: options.b,
    isEqual: verdict.tensors.different === 0 && notCompared === 0 && !isDifferent,
    tolerance,
    ...verdict,
    onlyInA,
    onlyInB,
    otherShapes,
    otherDTypes,
    files,
    notes: [...a.notes, ...b.notes, ...rotaryNotes(pairing)],
    hints: await hintsOf(pairing, verdict.tensors.different, [a, b], { reporter, signal, kernel }),
    seconds: (performance.now() - start) / 1000,
    threads,
  };
}

/** What the comparison of the tensors comes to. */
function judgeTensors(
  compared: readonly TensorComparison[],
  isTolerant: boolean,
): Pick<Comparison, "tensors" | "elements" | "differing"> {
  const differing = compared
    .filter((tensor) => !isSameBits(tensor))
    .sort(byDifference)
    .map((tensor) => ({ ...tensor, isWithinTolerance: isTolerant && tensor.beyondTolerance === 0 }));
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

/** No elements, no bits. */
function isSameBits({ dtypes, differentBits }: TensorComparison): boolean {
  return dtypes.a === dtypes.b && differentBits === 0;
}

/** The most different first: NaN against a number, then by the largest difference, then by how many. */
function byDifference(x: TensorComparison, y: TensorComparison): number {
  const keys = (tensor: TensorComparison) => [
    tensor.notFinite,
    tensor.largestAbsolute?.difference ?? 0,
    tensor.differentValues ?? 0,
    tensor.differentBits ?? 0,
  ];
  const [ofX, ofY] = [keys(x), keys(y)];
  const at = ofX.findIndex((key, i) => key !== ofY[i]);
  return at < 0 ? 0 : (ofY[at] as number) - (ofX[at] as number);
}

function rotaryNotes({ rotaryOnlyIn }: Pairing): string[] {
  return (["a", "b"] as const).flatMap((side) =>
    rotaryOnlyIn[side] === 0
      ? []
      : [
          `only ${side} has ${plural(rotaryOnlyIn[side], "rotary buffer")} (rotary_emb.inv_freq): no difference, since loaders compute them.`,
        ],
  );
}

/** What a difference may come from. */
async function hintsOf(
  { pairs }: Pairing,
  different: number,
  [a, b]: readonly [Checkpoint, Checkpoint],
  options: SampleModelsOptions,
): Promise<string[]> {
  if (different * 2 < pairs.length || different === 0) return [];
  const statistics = await sampleModels(baseSample, a, b, options);
  const delta = statistics.sampled === 0 ? null : deltaOf(statistics);
  if (delta === null) return [];
  const [small, large] = delta === "base" ? ["a", "b"] : ["b", "a"];
  return [
    `${small} looks like a delta: its values are much smaller than those of ${large}. Apply it to its base, then compare the result.`,
  ];
}
