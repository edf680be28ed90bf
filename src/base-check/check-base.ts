/**
 * The base check from end to end: sample, judge, and where the pattern suggests a cause that can be tried, try it and
 * judge again. What a trial confirms is certain, not likely.
 */
import { reorderRows } from "../llama/row-order.js";
import { locate, type TensorView } from "../tensor.js";
import type { BaseCheck, Cause } from "./documents.js";
import { describeMixed, judgeBase } from "./judge-base.js";
import { formatOf, judgeTensors } from "./judge-tensors.js";
import type { TensorSample } from "./tensor-sample.js";

type Views = readonly TensorView[];

/** Reads and counts: `sampleBase`, in this thread or another. */
type TakeBaseSample = (base: Views, delta: Views) => Promise<TensorSample[]>;

/**
 * Judges the base by a sample of all tensors. `headWidths`: those of an attention head that the configs name; LLaMA's 128
 * is tried as well. Throws what sampling throws.
 */
export async function checkBase(
  base: Views,
  delta: Views,
  sample: TakeBaseSample,
  headWidths: readonly number[],
): Promise<BaseCheck> {
  const samples = await sample(base, delta);
  const files = { base: filesByName(base), delta: filesByName(delta) };
  const check = judgeBase(samples, (name, side) => files[side].get(name) ?? "");
  if (check.cause?.kind === "row-order")
    return tryRowOrder(check, check.cause, base, delta, sample, headWidths);
  if (check.cause?.kind === "vectors") return tryFactors(check, check.cause, samples);
  if (check.cause?.kind === "damaged") return locateDamage(check, check.cause, samples, { base, delta });
  return check;
}

const filesByName = (views: Views) => new Map(views.map(({ name, pieces: [{ file }] }) => [name, file.path]));

/** LLaMA's, in all sizes. */
const HEAD_WIDTH = 128;

/** Looks at the base's q and k with their rows in Meta's order, and in the opposite one. */
async function tryRowOrder(
  check: BaseCheck,
  cause: Cause,
  base: Views,
  delta: Views,
  sample: TakeBaseSample,
  headWidths: readonly number[],
): Promise<BaseCheck> {
  const names = new Set(cause.tensors);
  const unfit = (views: Views) => views.filter(({ name }) => names.has(name));
  for (const width of new Set([...headWidths, HEAD_WIDTH])) {
    for (const order of ["meta", "transformers"] as const) {
      const turned = unfit(base).map((view) => reorderRows(view, width, order));
      if (turned.some((view) => view === null)) continue;
      const samples = await sample(turned as Views, unfit(delta));
      const isCertain = judgeTensors(samples, formatOf(samples)).every(({ verdict }) => verdict === "exact");
      if (!isCertain) continue;
      const name = order === "meta" ? "Meta's order" : "transformers' order";
      return withCause(check, {
        ...cause,
        side: "base",
        text: `with their rows in ${name}: not as the delta has them`,
      });
    }
  }
  return withCause(check, { ...cause, kind: "tensors", side: "base", text: "another model's" });
}

/** Looks at vectors as half or twice what they are. */
function tryFactors(check: BaseCheck, cause: Cause, samples: readonly TensorSample[]): BaseCheck {
  const names = new Set(cause.tensors);
  const unfit = samples.filter(({ name }) => names.has(name));
  const fits = (of: keyof TensorSample["inexactIf"]) => unfit.every(({ inexactIf }) => inexactIf[of] === 0);
  if (fits("halved")) return withCause(check, { ...cause, text: "twice the original's" });
  if (fits("doubled")) return withCause(check, { ...cause, text: "half the original's" });
  return withCause(check, { ...cause, text: "another model's" });
}

/** Says of damage what it is, on which side, in which file and where. */
function locateDamage(
  check: BaseCheck,
  cause: Cause,
  samples: readonly TensorSample[],
  sides: Readonly<Record<"base" | "delta", Views>>,
): BaseCheck {
  const names = new Set(cause.tensors);
  for (const sample of samples.filter(({ name }) => names.has(name))) {
    for (const side of ["base", "delta"] as const) {
      const { firstNotFinite, firstText, firstZero, squares } = sample[side];
      const [what, first] =
        sample.isMatrix && firstText >= 0
          ? ["text stands", firstText]
          : firstNotFinite >= 0
            ? ["infinities or NaN stand", firstNotFinite]
            : ["zeros stand", firstZero];
      const isZero = side === "base" && squares === 0 && sample.sampled > 0;
      if (first < 0 && !isZero) continue;
      const view = sides[side].find(({ name }) => name === sample.name);
      if (view === undefined) continue;
      const { file, offsetBytes } = locate(view, Math.max(0, first));
      const text = `${what} where the ${side}'s weights should be`;
      return withCause(check, { ...cause, side, files: [file.path], offsetBytes, text });
    }
  }
  return check;
}

function withCause(check: BaseCheck, cause: Cause): BaseCheck {
  return { ...check, cause, sentence: describeMixed(cause, check.tensors.length) };
}
