import * as z from "zod";
import { hubOption } from "../merge/options.js";
import { anyText, flag, inGroup, revision, text, type WorkOptions } from "../options.js";

export const inspectOptions = z.strictObject({
  /** A local folder or weights file, or `owner/name` on the Hub. */
  model: text(),
  ...inGroup("Main", {
    /** The base of the delta or tuned model: measures the change. */
    base: flag("-b, --base <model>", "measure the change against this base", text()).optional(),
    /** Names of tensors to list, with `*` and `?`: `*.q_proj.*`. Default: all. */
    filter: flag("--tensors <glob>", "list tensors by name, e.g. '*.q_proj.*'", anyText()).optional(),
  }),
  /** Branch, tag or commit of a model on the Hub; default `main`. */
  revision: revision("--revision", "the model"),
  /** The same for the base. */
  baseRevision: revision("--base-revision", "the base"),
  ...hubOption,
});

export type InspectOptions = z.input<typeof inspectOptions> & WorkOptions;
