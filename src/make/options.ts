import type { OutputOptions } from "../merge/output-options.js";
import type { TunedRules } from "./match-tuned.js";

export interface MakeDeltaOptions extends OutputOptions {
  /** The original model: a local folder or weights file, or `owner/name` or `owner/name@revision` on the Hub. */
  readonly base: string;
  /** The model tuned from it: likewise. */
  readonly tuned: string;
  /** Branch, tag or commit of a base on the Hub; default `main`. */
  readonly baseRevision?: string | undefined;
  /** The same for a tuned model on the Hub. */
  readonly tunedRevision?: string | undefined;
  /** The folder to make. */
  readonly delta: string;
  /** What becomes of tensors that only one side has. */
  readonly rules?: Partial<TunedRules>;
  /** Make no delta that doesn't give the tuned model back bit for bit; default false. */
  readonly exact?: boolean;
}
