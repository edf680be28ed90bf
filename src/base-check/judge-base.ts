/**
 * The verdict on what was sampled. The thresholds come from the tables in docs/base-check.md, which
 * `npm run base-check-table` reproduces.
 */

import { ApplyDeltaError } from "../errors.js";
import type { SumDType } from "../tensor.js";
import type { BaseCheck, BaseStatistics, BaseVerdict } from "./documents.js";

/** Fewer comparable elements than this decide nothing. */
const FEWEST_COMPARABLE = 256;

/** Share of inexact sums above which the base is another model. */
const OTHER_SHARE = 0.18;

/** Share above which the delta must have been made in a wider format. */
const WIDER_SHARE = 0.6;

/** A whole model's rms is near the base's, a delta's a tenth of it or less; tuned or not, no delta comes to half. */
export const MODEL_RATIO = 0.5;

/** Base and delta swapped: the "delta" is this many times the "base". */
const SWAPPED_RATIO = 2;

/** Judges the statistics. Pure. */
export function judgeBase(statistics: BaseStatistics): BaseCheck {
  const { sampled, comparable, formats, baseRms, deltaRms } = statistics;
  // The narrowest format whose sums don't say that the delta was made in a wider one.
  const format = formats.find(({ inexact: count }) => count < WIDER_SHARE * comparable) ?? formats.at(-1);
  const checkedIn = format?.dtype ?? null;
  const inexact = format?.inexact ?? 0;
  const judged = (verdict: BaseVerdict, isWarning: boolean, sentence: string): BaseCheck => ({
    verdict,
    isWarning,
    sentence,
    checkedIn,
    inexact,
    statistics,
  });
  if (sampled === 0)
    return judged("too-few", true, "the base can't be checked: no matrix stands on both sides");
  if (deltaRms === 0)
    return judged("zero-delta", true, "the delta is all zeros: the target will equal the base");
  if (deltaRms > SWAPPED_RATIO * baseRms) return judged("swapped", true, "base and delta seem to be swapped");
  if (deltaRms > MODEL_RATIO * baseRms)
    return judged("not-a-delta", true, "the delta seems to be a whole model");
  if (comparable < FEWEST_COMPARABLE) {
    return judged("too-few", false, `the base can't be checked: only ${comparable} elements tell anything`);
  }
  if (checkedIn === null) {
    const sentence = "the base can't be checked: the delta's float32 numbers are differences of 16-bit ones";
    return judged("too-few", false, sentence);
  }
  const share = inexact / comparable;
  const counts = `${inexact.toLocaleString("en-US")} of ${comparable.toLocaleString("en-US")} sums are inexact`;
  if (inexact === 0) {
    return judged(
      "exact",
      false,
      `the base is the one this delta was made from (${comparable.toLocaleString("en-US")} sums, all exact)`,
    );
  }
  if (share >= WIDER_SHARE) {
    return judged(
      "wider-delta",
      true,
      `the check can't tell: the delta was made in a wider format (${counts})`,
    );
  }
  if (share >= OTHER_SHARE)
    return judged("other", true, `the base is another model than the delta's (${counts})`);
  const cause = isRoundedThroughBFloat16(checkedIn, statistics)
    ? "its values were rounded through bfloat16, as some versions of the LLaMA converter do"
    : "it was rounded or tuned on the way";
  return judged(
    "near",
    true,
    `the base is of the right family but not bit for bit the delta's: ${cause} (${counts})`,
  );
}

/**
 * The error for a verdict that forbids the merge; null where it may go on. `hints` are what the configs say
 * (`configHints`).
 */
export function baseError(check: BaseCheck, hints: readonly string[] = []): ApplyDeltaError | null {
  const { baseRms, deltaRms, comparable, correlation } = check.statistics;
  const sizes = `rms of base ${baseRms.toPrecision(3)}, of delta ${deltaRms.toPrecision(3)}, correlation ${correlation.toFixed(2)}`;
  const said = hints.map((hint) => `${hint.replace(/^the /, "The ").replace(/\.$/, "")}. `).join("");
  switch (check.verdict) {
    case "swapped":
      return new ApplyDeltaError("swapped", "Base and delta are swapped.", {
        expected: "a delta with much smaller values than the base",
        got: sizes,
        hint: "Exchange --base and --delta.",
      });
    case "not-a-delta":
      if (isSameModel(check.statistics)) {
        return new ApplyDeltaError("not-a-delta", "Base and delta are the same model.", {
          expected: "a base, and a delta with much smaller values",
          got: `the same numbers on both sides (rms ${baseRms.toPrecision(3)})`,
          hint: "Give the original model as --base and the delta as --delta. A merged model needs neither: use it as it is.",
        });
      }
      return new ApplyDeltaError("not-a-delta", "The delta is not a delta but a whole model.", {
        expected: "a delta with much smaller values than the base",
        got: sizes,
        hint: `${said}A merged model needs no base: use it as it is. If the base is itself a delta, give the original model as --base; if the delta really is one, add --force.`,
      });
    case "other":
      return new ApplyDeltaError("wrong-base", "The base is not the model the delta was made from.", {
        expected: "sums that are exact where the delta is small",
        got: `${check.inexact.toLocaleString("en-US")} of ${comparable.toLocaleString("en-US")} that are not`,
        hint: `${said}Give the base the delta was made for (LLaMA 1 for Vicuna v0 and v1.1, not Llama 2; the same size), or add --force to merge all the same.`,
      });
    default:
      return null;
  }
}

/** Whether all sampled numbers are equal, as far as their sums tell. */
function isSameModel({ baseRms, deltaRms, correlation }: BaseStatistics): boolean {
  return baseRms === deltaRms && correlation > 1 - 1e-12;
}

/** Which of two models has values as small as a delta's to the other; null where neither has. */
export function deltaOf({ baseRms, deltaRms }: BaseStatistics): "base" | "delta" | null {
  if (deltaRms > SWAPPED_RATIO * baseRms) return "base";
  return deltaRms < MODEL_RATIO * baseRms ? "delta" : null;
}

/** What to do about a verdict that is a warning, as a sentence; null where there is nothing to do. */
export function baseAdvice({ verdict, checkedIn, statistics }: BaseCheck): string | null {
  if (verdict !== "near") return null;
  const cure = isRoundedThroughBFloat16(checkedIn, statistics)
    ? "take a conversion of the base that was made in float16"
    : "give the original base, not one that was tuned or converted again";
  return `The target will be near the released model; to get its very bits, ${cure}.`;
}

function isRoundedThroughBFloat16(checkedIn: SumDType | null, { baseIsBFloat16 }: BaseStatistics): boolean {
  return baseIsBFloat16 && checkedIn !== "BF16";
}
