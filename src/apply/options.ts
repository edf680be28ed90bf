import { z } from "zod";
import { PROMPT_STYLES } from "../llama/prompt-templates.js";
import { baseOptions, outputOptions, sumOptions } from "../merge/options.js";
import { flag, oneOf, text, type WorkOptions, yesOrNo } from "../options.js";

export const applyOptions = z.strictObject({
  base: baseOptions.base,
  /** The delta: likewise. */
  delta: flag(
    "--delta-path, --delta <model>",
    "add this delta: a folder, a weights file, or owner/name",
    text(),
  ),
  /** The folder to make. */
  target: flag("--target-model-path, --target <folder>", "write the sum to this folder", text()),
  ...sumOptions,
  /**
   * Write a prompt template into the tokenizer's config; `auto`: that of the recognised release. Default null:
   * none.
   */
  chatTemplate: flag(
    "--chat-template [style]",
    "write the release's prompt template for the tokenizer",
    oneOf(["auto", ...PROMPT_STYLES]),
  )
    .nullable()
    .default(null),
  ...outputOptions,
  /** Go on where the base check says that the base is another model, or the delta none; default false. */
  force: flag("--force", "merge even if the base check finds a wrong base", yesOrNo()).default(false),
  /** Don't check whether the base is the delta's; default false. */
  skipBaseCheck: flag("--skip-base-check", "don't check whether the base is the delta's", yesOrNo()).default(
    false,
  ),
  /** Compare the delta's files with the published SHA-256 first; default false. */
  verifyDelta: flag(
    "--verify-delta",
    "compare the delta's files with the published SHA-256",
    yesOrNo(),
  ).default(false),
  /** Read the target back from the disk and compare it, before it appears; default false. */
  verify: flag("--verify", "read the target back and compare it before it appears", yesOrNo()).default(false),
  baseRevision: baseOptions.baseRevision,
  /** The same for a delta on the Hub. */
  deltaRevision: flag(
    "--delta-revision <revision>",
    "read this branch, tag or commit of the delta on the Hub",
    text(),
  ).optional(),
});

export type ApplyDeltaOptions = z.input<typeof applyOptions> & WorkOptions;
