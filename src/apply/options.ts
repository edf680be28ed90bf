import * as z from "zod";
import { PROMPT_STYLES } from "../llama/prompt-templates.js";
import { baseOptions, hubOption, outputOptions, sumOptions, TARGET_ELSEWHERE } from "../merge/options.js";
import { flag, inGroup, oneOf, revision, text, toggle, type WorkOptions } from "../options.js";

export const applyOptions = z.strictObject({
  ...inGroup("Main", {
    base: baseOptions.base,
    /** The delta, in any of the same forms. */
    delta: flag("-d, --delta <model>", "add this delta: a folder, a weights file, or owner/name", text(), {
      fastChat: ["--delta-path"],
      elsewhere: ["path-diff", "diff", "adapter", "lora"],
    }),
    /** The folder to make, or a file that ends in `.gguf`. */
    target: flag("-o, --target <folder>", "write the sum to this folder, or to x.gguf", text(), {
      fastChat: ["--target-model-path"],
      elsewhere: TARGET_ELSEWHERE,
    }),
  }),
  ...sumOptions,
  ...inGroup("Output", {
    /** Prompt template to write into the tokenizer's config; `auto`: the recognized release's. Default null: none. */
    chatTemplate: flag(
      "--chat-template [style]",
      "write the release's prompt template for the tokenizer",
      oneOf(["auto", ...PROMPT_STYLES]),
    )
      .nullable()
      .default(null),
  }),
  ...outputOptions,
  ...inGroup("Output", {
    /** How the weights are stored; default `gguf` for a target that ends in .gguf, else `safetensors`. */
    format: flag(
      "--format <format>",
      "store the weights in this format; gguf: for llama.cpp",
      oneOf(["safetensors", "bin", "gguf"]),
    ).optional(),
    /** Prompt of an Ollama Modelfile to write beside a GGUF; `auto`: the recognized release's. Default null: none. */
    modelfile: flag(
      "--modelfile [style]",
      "write an Ollama Modelfile beside a GGUF",
      oneOf(["auto", ...PROMPT_STYLES]),
    )
      .nullable()
      .default(null),
  }),
  ...inGroup("Checks", {
    /** Go on if the base check finds another base, or no delta; default false. */
    force: toggle("--force", "merge even if the base check finds a wrong base"),
    /** Don't check whether the base is the delta's; default false. */
    skipBaseCheck: toggle("--skip-base-check", "don't check whether the base is the delta's"),
    /** First compare the delta's files with the published SHA-256; default false. */
    verifyDelta: toggle("--verify-delta", "compare the delta's files with the published SHA-256"),
    /** First compare a base as Meta gives it out with the MD5 in its checklist.chk; default false. */
    verifyBase: toggle("--verify-base", "compare Meta's own files with the MD5 in checklist.chk"),
    /** Read the target back from the disk and compare it, before it appears; default false. */
    verify: toggle("--verify", "read the target back and compare it before it appears"),
  }),
  baseRevision: baseOptions.baseRevision,
  /** The same for a delta on the Hub. */
  deltaRevision: revision("--delta-revision", "the delta"),
});

export const partOptions = applyOptions.extend(
  inGroup("Speed and resuming", {
    /** Which part of the target to make: `2/4` is the second of four. Every part is given the same options. */
    part: flag("--part <i/n>", "make part i of n; the last one done completes the target", text()),
  }),
);

/** What completing a target takes besides what its parts were asked for. */
export const finishOptions = z.strictObject({
  ...inGroup("Main", {
    /** The folder whose parts are made. */
    target: flag("-o, --target <folder>", "complete the target whose parts are made", text()),
  }),
  ...hubOption,
});

export type ApplyPartOptions = z.input<typeof partOptions> & WorkOptions;
export type FinishPartsOptions = z.input<typeof finishOptions> & WorkOptions;
export type ApplyDeltaOptions = z.input<typeof applyOptions> & WorkOptions;
