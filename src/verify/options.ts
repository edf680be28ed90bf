import * as z from "zod";
import { hubOption, kernelOption, matchRules, sumOptions, threadsOption } from "../merge/options.js";
import { flag, inGroup, reworded, text, type WorkOptions } from "../options.js";

const rules = matchRules.shape;

const pastRules = inGroup("How the target was made", {
  newRows: reworded(rules.newRows.unwrap(), "expect this base value in rows only the delta has").optional(),
  trimRows: reworded(rules.trimRows.unwrap(), "expect no rows that only the delta has").optional(),
  deltaOnly: reworded(rules.deltaOnly.unwrap(), "expect this for tensors only the delta has").optional(),
  baseOnly: reworded(rules.baseOnly.unwrap(), "expect this for tensors only the base has").optional(),
  replace: reworded(rules.replace.unwrap(), "expect these tensors whole from the delta").optional(),
});

export const verifyOptions = z.strictObject({
  /** A model's folder, or `owner/name` on the Hub. */
  target: text(),
  /** What it was made from, both or neither: computes every number again and compares. */
  sources: z
    .strictObject(
      inGroup("Main", {
        /** The original model, as for `applyDelta`. */
        base: flag("-b, --base <model>", "compute the sum again, from this base and --delta", text()),
        /** The delta, as for `applyDelta`. */
        delta: flag("-d, --delta <model>", "compute the sum again, from --base and this delta", text()),
      }),
    )
    .optional(),
  ...inGroup("How the target was made", {
    /** The dtype it was written in; by default, like the next two, as its record says, else as `applyDelta`'s. */
    dtype: reworded(
      sumOptions.dtype.unwrap(),
      "expect this dtype; auto: each tensor's as in the delta",
    ).optional(),
    /** What the delta was multiplied by. */
    scale: reworded(sumOptions.scale.unwrap(), "expect base + x * delta").optional(),
  }),
  /** What was done with tensors and rows that only one side has. */
  rules: z.strictObject(pastRules).optional(),
  ...threadsOption,
  ...kernelOption,
  ...hubOption,
});

export type VerifyOptions = z.input<typeof verifyOptions> & WorkOptions;
