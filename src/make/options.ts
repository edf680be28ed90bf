import { z } from "zod";
import { baseOptions, outputOptions } from "../merge/options.js";
import { flag, oneOf, text, type WorkOptions, yesOrNo } from "../options.js";

export const tunedRules = z.strictObject({
  /** What becomes of tensors that only the tuned model has and no rule knows; default `keep`: they are copied. */
  targetOnly: flag(
    "--target-only <rule>",
    "keep, drop or refuse tensors only the tuned model has",
    oneOf(["keep", "drop", "error"]),
  ).default("keep"),
  /** What becomes of tensors that only the base has and no rule knows; default `error`. */
  baseOnly: flag(
    "--base-only <rule>",
    "refuse or drop tensors only the base has",
    oneOf(["error", "drop"]),
  ).default("error"),
});

/** What becomes of tensors that only one side has. */
export type TunedRules = z.output<typeof tunedRules>;

export const makeOptions = z.strictObject({
  base: baseOptions.base,
  /** The model tuned from it: likewise. */
  tuned: flag(
    "--target-model-path, --target <model>",
    "make the delta of this model, tuned from the base",
    text(),
  ),
  /** The folder to make. */
  delta: flag("--delta-path, --delta <folder>", "write the delta to this folder", text()),
  /** Make no delta that doesn't give the tuned model back bit for bit; default false. */
  exact: flag("--exact", "make no delta that loses a bit of the tuned model", yesOrNo()).default(false),
  /** What becomes of tensors that only one side has. */
  rules: tunedRules.optional(),
  ...outputOptions,
  baseRevision: baseOptions.baseRevision,
  /** The same for a tuned model on the Hub. */
  tunedRevision: flag(
    "--target-revision <revision>",
    "read this branch, tag or commit of the tuned model",
    text(),
  ).optional(),
});

export type MakeDeltaOptions = z.input<typeof makeOptions> & WorkOptions;
