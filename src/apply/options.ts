import type { PromptStyle } from "../llama/prompt-templates.js";
import type { MatchRules } from "../merge/match.js";
import type { OutputOptions } from "../merge/output-options.js";
import type { SumDType } from "../tensor.js";

export interface ApplyDeltaOptions extends OutputOptions {
  /** The original model: a local folder or weights file, or `owner/name` or `owner/name@revision` on the Hub. */
  readonly base: string;
  /** The delta: likewise. */
  readonly delta: string;
  /** Branch, tag or commit of a base on the Hub; default `main`. */
  readonly baseRevision?: string | undefined;
  /** The same for a delta on the Hub. */
  readonly deltaRevision?: string | undefined;
  /** The folder to make. */
  readonly target: string;
  /** The dtype to write; `auto` (default): each tensor as in the delta. */
  readonly dtype?: "auto" | SumDType;
  /** Go on where the base check says that the base is another model, or the delta none; default false. */
  readonly force?: boolean;
  /** Don't check whether the base is the delta's; default false. */
  readonly skipBaseCheck?: boolean;
  /** Compare the delta's files with the published SHA-256 first; default false. */
  readonly verifyDelta?: boolean;
  /** Read the target back from the disk and compare it, before it appears; default false. */
  readonly verify?: boolean;
  /** What becomes of tensors and rows that only one side has. */
  readonly rules?: Partial<MatchRules>;
  /** target = base + scale * delta; any number but 0, default 1. */
  readonly scale?: number;
  /**
   * Write a prompt template into the tokenizer's config; `auto`: that of the recognised release. Default null:
   * none.
   */
  readonly chatTemplate?: "auto" | PromptStyle | null;
}
