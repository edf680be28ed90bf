import { z } from "zod";
import { hubOption, kernelOption, matchRules, sumOptions, threadsOption } from "../merge/options.js";
import { flag, text, type WorkOptions } from "../options.js";

const rules = matchRules.shape;

export const verifyOptions = z.strictObject({
  /** A model's folder, or `owner/name` on the Hub. */
  target: text(),
  /** What it was made from, both or neither: computes every number again and compares. */
  sources: z
    .strictObject({
      /** The original model, as for `applyDelta`. */
      base: flag("--base <model>", "compute the sum again, from this base and --delta", text()),
      /** The delta, as for `applyDelta`. */
      delta: flag("--delta <model>", "compute the sum again, from --base and this delta", text()),
    })
    .optional(),
  /** The dtype it was written in; by default, like the next two, as its record says, else as `applyDelta`'s. */
  dtype: sumOptions.dtype.unwrap().optional(),
  /** What the delta was multiplied by. */
  scale: sumOptions.scale.unwrap().optional(),
  /** What was done with tensors and rows that only one side has. */
  rules: z
    .strictObject({
      newRows: rules.newRows.unwrap().optional(),
      trimRows: rules.trimRows.unwrap().optional(),
      deltaOnly: rules.deltaOnly.unwrap().optional(),
      baseOnly: rules.baseOnly.unwrap().optional(),
      replace: rules.replace.unwrap().optional(),
    })
    .optional(),
  ...threadsOption,
  ...kernelOption,
  ...hubOption,
});

export type VerifyOptions = z.input<typeof verifyOptions> & WorkOptions;
