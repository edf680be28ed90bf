import { z } from "zod";
import { hubOption } from "../merge/options.js";
import { anyText, flag, text, type WorkOptions } from "../options.js";

export const inspectOptions = z.strictObject({
  /** A local folder or weights file, or `owner/name` on the Hub. */
  model: text(),
  /** What the model is a delta to, or was tuned from: measures the change. */
  base: flag("--base <model>", "measure the change against this base", text()).optional(),
  /** Names of tensors to list, with `*` and `?`: `*.q_proj.*`. Default: all. */
  filter: flag("--tensors <glob>", "list tensors by name, e.g. '*.q_proj.*'", anyText()).optional(),
  /** Branch, tag or commit of a model on the Hub; default `main`. */
  revision: flag(
    "--revision <revision>",
    "read this branch, tag or commit of the model on the Hub",
    text(),
  ).optional(),
  /** The same for the base. */
  baseRevision: flag(
    "--base-revision <revision>",
    "read this branch, tag or commit of the base on the Hub",
    text(),
  ).optional(),
  ...hubOption,
});

export type InspectOptions = z.input<typeof inspectOptions> & WorkOptions;
