import * as z from "zod";
import { hubOption, threadsOption } from "../merge/options.js";
import { flag, inGroup, text, toggle, tolerance, type WorkOptions } from "../options.js";

export const compareOptions = z.strictObject({
  /** A local folder or weights file, or `owner/name` or `owner/name@revision` on the Hub. */
  a: text(),
  /** The model to compare it with, in any of the same forms. */
  b: text(),
  ...inGroup("Main", {
    /** An element is equal if |a - b| is at most this. Without any tolerance, bits are compared. */
    tolerance: flag("--tolerance <x>", "take |a - b| <= x for equal", tolerance()).optional(),
    /** … or where |a - b| / max(|a|, |b|) is at most this. */
    relativeTolerance: flag(
      "--relative-tolerance <x>",
      "take |a - b| <= x * max(|a|, |b|) for equal",
      tolerance(),
    ).optional(),
    /** Leave config and tokenizer out; default false. */
    weightsOnly: toggle("--weights-only", "leave config and tokenizer out"),
  }),
  ...threadsOption,
  ...hubOption,
});

export type CompareOptions = z.input<typeof compareOptions> & WorkOptions;
