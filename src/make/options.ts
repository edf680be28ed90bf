import * as z from "zod";
import { baseOptions, outputOptions, TARGET_ELSEWHERE } from "../merge/options.js";
import { flag, inGroup, oneOf, revision, text, toggle, type WorkOptions } from "../options.js";

export const tunedRules = z.strictObject({
  /** What to do with tensors that only the tuned model has and no rule knows; default `keep`: copy them. */
  tunedOnly: flag(
    "--tuned-only <rule>",
    "keep, drop or refuse tensors only the tuned model has",
    oneOf(["keep", "drop", "error"]),
  ).default("keep"),
  /** What to do with tensors that only the base has and no rule knows; default `error`. */
  baseOnly: flag(
    "--base-only <rule>",
    "refuse or drop tensors only the base has",
    oneOf(["error", "drop"]),
  ).default("error"),
});

inGroup("When names or rows differ", tunedRules.shape);

/** What to do with tensors that only one side has. */
export type TunedRules = z.output<typeof tunedRules>;

export const makeOptions = z.strictObject({
  ...inGroup("Main", {
    base: baseOptions.base,
    /** The model tuned from it, in any of the same forms. */
    tuned: flag("-t, --tuned <model>", "make the delta of this model, tuned from the base", text(), {
      fastChat: ["--target-model-path", "--target"],
      elsewhere: ["model", "path-tuned"],
    }),
    /** The folder to make. */
    delta: flag("-d, --delta <folder>", "write the delta to this folder", text(), {
      fastChat: ["--delta-path"],
      elsewhere: [...TARGET_ELSEWHERE, "path-diff", "diff"],
    }),
  }),
  /** Make no delta unless it gives the tuned model back bit for bit; default false. */
  ...inGroup("Checks", { exact: toggle("--exact", "make no delta that loses a bit of the tuned model") }),
  /** What to do with tensors that only one side has. */
  rules: tunedRules.optional(),
  ...outputOptions,
  baseRevision: baseOptions.baseRevision,
  /** The same for a tuned model on the Hub. */
  tunedRevision: revision("--tuned-revision", "the tuned model"),
});

export type MakeDeltaOptions = z.input<typeof makeOptions> & WorkOptions;
