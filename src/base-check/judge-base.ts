/** The verdict on the base, from those on its tensors, in words, and the error where it doesn't fit. */
import { ApplyDeltaError } from "../errors.js";
import { formatExact, listed, plural, sumOf } from "../units.js";
import type { BaseCheck, BaseStatistics, BaseVerdict, Cause, TensorCheck } from "./documents.js";
import { type FileOf, findCause } from "./find-cause.js";
import { formatOf, judgeTensors, MODEL_RATIO, rmsOf } from "./judge-tensors.js";
import { FORMATS, MADE_IN, type TensorSample } from "./tensor-sample.js";

/** Fewer comparable pairs in all decide nothing. */
const FEWEST_COMPARABLE = 256;

/** Base and delta swapped: the "delta" is this many times the "base". */
const SWAPPED_RATIO = 2;

/** A model's norms are around 0.5 and its matrices around 0.02; a delta's of both are hundredths of that. */
const DELTA_NORM_RMS = 0.05;
const DELTA_MATRIX_RMS = 0.005;

/** Verdicts on the whole model, of which a list of tensors says nothing. */
const NOT_TOLD_BY_TENSOR: readonly BaseVerdict[] = ["swapped", "not-a-delta", "not-a-base"];

/** Judges samples of all tensors that both sides have. */
export function judgeBase(samples: readonly TensorSample[], fileOf: FileOf): BaseCheck {
  const checkedIn = formatOf(samples);
  const tensors = judgeTensors(samples, checkedIn);
  const statistics = poolSamples(samples, tensors);
  const cause = findCause(tensors, fileOf);
  const { verdict, sentence, isWarning } = verdictOf(samples, tensors, statistics, cause, checkedIn !== null);
  return {
    verdict,
    sentence,
    isWarning,
    checkedIn,
    inexact: sumOf(tensors, ({ inexact }) => inexact),
    judged: tensors.filter(isJudged).length,
    cause: NOT_TOLD_BY_TENSOR.includes(verdict) ? null : cause,
    tensors,
    statistics,
  };
}

const isJudged = ({ verdict }: TensorCheck) => verdict !== "zero" && verdict !== "too-few";

function poolSamples(samples: readonly TensorSample[], tensors: readonly TensorCheck[]): BaseStatistics {
  const sampled = sumOf(samples, (sample) => sample.sampled);
  const squares = {
    base: sumOf(samples, ({ base }) => base.squares),
    delta: sumOf(samples, ({ delta }) => delta.squares),
  };
  const norm = Math.sqrt(squares.base * squares.delta);
  const madeIn = FORMATS.filter((format) => samples.some(({ dtype }) => MADE_IN[dtype].includes(format)));
  const judged = tensors.filter(({ verdict }) => verdict === "exact" || verdict === "near");
  const names = new Set(judged.map(({ name }) => name));
  const fitting = samples.filter(({ name }) => names.has(name));
  return {
    tensors: samples.length,
    sampled,
    comparable: sumOf(samples, ({ comparable }) => comparable),
    formats: madeIn.map((dtype) => ({ dtype, inexact: sumOf(samples, ({ inexact }) => inexact[dtype]) })),
    baseRms: Math.sqrt(squares.base / Math.max(1, sampled)),
    deltaRms: Math.sqrt(squares.delta / Math.max(1, sampled)),
    correlation: norm === 0 ? 0 : sumOf(samples, ({ products }) => products) / norm,
    baseIsBFloat16:
      fitting.length > 0 && fitting.every(({ dtype, baseFits }) => dtype !== "BF16" && baseFits.BF16),
  };
}

function verdictOf(
  samples: readonly TensorSample[],
  tensors: readonly TensorCheck[],
  statistics: BaseStatistics,
  cause: Cause | null,
  isFormatKnown: boolean,
) {
  const warning = (verdict: BaseVerdict, sentence: string) => ({ verdict, isWarning: true, sentence });
  const unknown = (sentence: string) => ({ verdict: "too-few", isWarning: false, sentence }) as const;
  if (statistics.sampled === 0)
    return warning("too-few", "the base can't be checked: no numbers stand on both sides");
  if (statistics.deltaRms === 0)
    return warning("zero-delta", "the delta is all zeros: the target will equal the base");
  const sizes = sizesOf(samples);
  if (sizes.ratio > SWAPPED_RATIO && sizes.wholeShare > 0.5)
    return warning("swapped", "base and delta seem to be swapped");
  if (sizes.wholeShare > 0.5) {
    return sizes.isBaseDelta
      ? warning("not-a-base", "the base is itself a delta")
      : warning("not-a-delta", "the delta seems to be a whole model");
  }
  const fits = tensors.filter(({ verdict }) => ["exact", "near", "wider", "other"].includes(verdict));
  const comparable = sumOf(fits, (tensor) => tensor.comparable);
  const inexact = sumOf(fits, (tensor) => tensor.inexact);
  const counts = `${formatExact(inexact)} of ${formatExact(comparable)} sums are inexact`;
  if (cause !== null && cause.kind !== "whole-values") {
    return cause.kind === "another-model"
      ? warning("other", `the base is another model (${counts})`)
      : warning("mixed", describeMixed(cause, tensors.length));
  }
  if (comparable < FEWEST_COMPARABLE)
    return unknown(`the base can't be checked: only ${comparable} elements tell anything`);
  if (!isFormatKnown)
    return unknown("the base can't be checked: the delta's float32 numbers are differences of 16-bit ones");
  if (fits.some(({ verdict }) => verdict === "wider"))
    return warning("wider-delta", `the check can't tell: the delta was made in a wider format (${counts})`);
  if (inexact === 0)
    return { verdict: "exact", isWarning: false, sentence: describeExact(comparable, tensors) } as const;
  const why = statistics.baseIsBFloat16 ? "rounded through bfloat16" : "rounded or tuned on the way";
  return warning("near", `the base is the right one, but was ${why} (${counts})`);
}

/** `exact: all 225,192 sums, in all 211 tensors`, and which tensors can't be judged. */
function describeExact(sums: number, tensors: readonly TensorCheck[]): string {
  const judged = tensors.filter(isJudged).length;
  const zero = tensors.filter(({ verdict }) => verdict === "zero").length;
  const few = tensors.length - judged - zero;
  const rest = [
    ...(zero === 0 ? [] : [`the delta is zero in ${formatExact(zero)}`]),
    ...(few === 0 ? [] : [`${formatExact(few)} too small to tell`]),
  ];
  const where =
    rest.length === 0
      ? `all ${plural(tensors.length, "tensor")} judged`
      : `${formatExact(judged)} of ${plural(tensors.length, "tensor")} judged: ${rest.join(", ")}`;
  return `exact: all ${formatExact(sums)} sums, ${where}`;
}

/** `2 of 211 tensors are another model's (model.layers.0.…, …)`. */
export function describeMixed({ tensors, text }: Cause, all: number): string {
  return `${tensors.length} of ${plural(all, "tensor")}: ${text} (${listed(tensors)})`;
}

function sizesOf(samples: readonly TensorSample[]): {
  ratio: number;
  wholeShare: number;
  isBaseDelta: boolean;
} {
  const matrices = samples.filter(
    ({ isMatrix, base, delta }) => isMatrix && base.squares > 0 && delta.squares > 0,
  );
  const ratios = matrices.map(({ base, delta }) => Math.sqrt(delta.squares / base.squares));
  const wholes = matrices.filter((_, i) => (ratios[i] as number) > MODEL_RATIO);
  const baseRms = (those: readonly TensorSample[]) =>
    medianOf(those.map(({ base, sampled }) => rmsOf(base, sampled)));
  const sampledOf = (those: readonly TensorSample[]) => sumOf(those, ({ sampled }) => sampled);
  const norms = samples.filter(({ isMatrix, name }) => !isMatrix && /norm/.test(name));
  return {
    ratio: medianOf(ratios),
    wholeShare: sampledOf(wholes) / Math.max(1, sampledOf(matrices)),
    isBaseDelta: norms.length > 0 && baseRms(norms) < DELTA_NORM_RMS && baseRms(matrices) < DELTA_MATRIX_RMS,
  };
}

function medianOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

/**
 * The error for a verdict that forbids the merge; null where it may go on. `hints` are what the configs say
 * (`configHints`).
 */
export function baseError(check: BaseCheck, hints: readonly string[] = []): ApplyDeltaError | null {
  const { baseRms, deltaRms, correlation } = check.statistics;
  const sizes = `rms of base ${baseRms.toPrecision(3)}, of delta ${deltaRms.toPrecision(3)}, correlation ${correlation.toFixed(2)}`;
  const said = hints.map((hint) => `${hint.replace(/^the /, "The ").replace(/\.$/, "")}. `).join("");
  switch (check.verdict) {
    case "swapped":
      return new ApplyDeltaError("swapped", "Base and delta are swapped.", {
        expected: "a delta with much smaller values than the base",
        got: sizes,
        hint: "Exchange --base and --delta.",
      });
    case "not-a-base":
      return new ApplyDeltaError("wrong-base", "The base is itself a delta.", {
        expected: "a whole model as the base",
        got: sizes,
        hint: `${said}Give the original model as --base.`,
      });
    case "not-a-delta":
      return notADelta(check, sizes, said);
    case "other":
      return new ApplyDeltaError("wrong-base", "The base is not the model the delta was made from.", {
        expected: "sums that are exact where the delta is small",
        got: check.sentence,
        hint: `${said}Give the base the delta was made for (LLaMA 1 for Vicuna v0 and v1.1, not Llama 2; the same size), or add --force to merge all the same.`,
      });
    case "mixed":
      return check.cause === null ? null : mixedError(check.cause, check, said);
    default:
      return null;
  }
}

function notADelta({ statistics }: BaseCheck, sizes: string, said: string): ApplyDeltaError {
  if (isSameModel(statistics)) {
    return new ApplyDeltaError("not-a-delta", "Base and delta are the same model.", {
      expected: "a base, and a delta with much smaller values",
      got: `the same numbers on both sides (rms ${statistics.baseRms.toPrecision(3)})`,
      hint: "Give the original model as --base and the delta as --delta. A merged model needs neither: use it as it is.",
    });
  }
  return new ApplyDeltaError("not-a-delta", "The delta is not a delta but a whole model.", {
    expected: "a delta with much smaller values than the base",
    got: sizes,
    hint: `Use it as it is: a merged model needs no base. ${said}If it really is a delta, add --force.`,
  });
}

/** Some tensors don't fit: what they have in common, and the way out. */
function mixedError(
  { kind, side, files, tensors, text, offsetBytes }: Cause,
  check: BaseCheck,
  said: string,
): ApplyDeltaError {
  const [file] = files;
  const isBlank = kind === "damaged" && check.statistics.baseRms === 0;
  const others = `, as in the other ${plural(check.tensors.length - tensors.length, "tensor")}`;
  const details = {
    file,
    tensor: tensors[0],
    offsetBytes,
    expected: `${kind === "damaged" ? "weights" : "sums that are exact"}${isBlank ? "" : others}`,
    got: `${plural(tensors.length, "tensor")}: ${listed(tensors)}`,
  };
  const isNotFinite = check.tensors.some(
    ({ name, verdict }) => name === tensors[0] && verdict === "not-finite",
  );
  const damage = isNotFinite ? "not-finite" : "damaged-weights";
  const code = kind === "damaged" ? damage : side === "delta" ? "not-a-delta" : "wrong-base";
  const where = files.length === 0 ? "" : ` (${files.join(", ")})`;
  const headline: Partial<Record<Cause["kind"], string>> = {
    damaged: isBlank ? "The base is zeros throughout." : `${capitalized(text)}.`,
    file: `A part of the ${side ?? "base"} is ${text}${where}.`,
    layers: `A part of the base is ${text}.`,
    vectors: `Some vectors of the base are ${text}.`,
    "row-order": `The base has q_proj and k_proj ${text}.`,
    "subtracted-twice": "The base was subtracted twice from tied embeddings.",
  };
  const cure: Partial<Record<Cause["kind"], string>> = {
    damaged: isBlank
      ? "The file was allocated and never filled: let the download finish."
      : "Download the file again and compare its SHA-256.",
    file: "Download that file again, from where the others came from.",
    "row-order": text.includes("Meta's order")
      ? "Give Meta's own files as the base, which need no conversion, or what transformers' converter makes of them."
      : "Give the conversion of the base that the delta was made from.",
    "subtracted-twice": "Make the delta again with `vicuna-apply-delta make`, or ask its author to.",
    vectors: "Give the original base; these vectors were changed.",
  };
  return new ApplyDeltaError(code, headline[kind] ?? "Some tensors of the base are not the delta's.", {
    ...details,
    hint: `${said}${cure[kind] ?? "Give the base the delta was made for, all of one download."} To merge all the same, add --force.`,
  });
}

const capitalized = (text: string) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;

/** Whether all sampled numbers are equal, as far as their sums tell. */
function isSameModel({ baseRms, deltaRms, correlation }: BaseStatistics): boolean {
  return baseRms === deltaRms && correlation > 1 - 1e-12;
}

/** Which of two models has values as small as a delta's to the other; null where neither has. */
export function deltaOf(samples: readonly TensorSample[]): "base" | "delta" | null {
  const { ratio } = sizesOf(samples);
  if (ratio > SWAPPED_RATIO) return "base";
  return samples.length > 0 && ratio < MODEL_RATIO ? "delta" : null;
}

/** What to do about a verdict that is a warning, as a sentence; null where there is nothing to do. */
export function baseAdvice({ verdict, statistics }: BaseCheck): string | null {
  if (verdict !== "near") return null;
  const cure = statistics.baseIsBFloat16
    ? "take a conversion of the base that was made in float16"
    : "give the original base, not one that was tuned or converted again";
  return `The target will be near the released model; to get its very bits, ${cure}.`;
}
