/** Options that several commands share. */
import * as z from "zod";
import { hubSettings } from "../hub/settings.js";
import { factor, flag, inGroup, oneOf, revision, text, toggle, wholeNumber, yesOrNo } from "../options.js";
import { TORCH_NAMES } from "../tensor.js";

/** Of every command that reads models. */
export const hubOption = {
  /** How to reach the Hub; by default as huggingface_hub does, except that the environment isn't read. */
  hub: hubSettings.optional(),
};

/** More threads than this are a typing error. */
const MOST_THREADS = 256;

export const threadsOption = inGroup("Speed and resuming", {
  /**
   * Worker threads, 1 to 256; default one for each core, at most 4, or 2 where weights are streamed, and none beside the
   * caller's where base and delta have no more than 32 MiB.
   */
  threads: flag(
    "--threads <n>",
    "run n threads (default: one a core, at most 4; 2 to stream)",
    wholeNumber(1, MOST_THREADS),
    { elsewhere: ["workers", "num-workers", "jobs", "j"] },
  ).optional(),
});

export const kernelOption = inGroup("Speed and resuming", {
  /** How to do the arithmetic; default `auto`. */
  kernel: flag(
    "--kernel <kernel>",
    "compute in this way; all give the same bits",
    oneOf(["auto", "simd", "reference"]),
  ).default("auto"),
});

export const baseOptions = {
  /** The original model: a local folder or weights file, or `owner/name` or `owner/name@revision` on the Hub. */
  base: flag("-b, --base <model>", "use this base: a folder, a weights file, or owner/name", text(), {
    fastChat: ["--base-model-path"],
    elsewhere: ["model", "path-raw", "original"],
  }),
  /** Branch, tag or commit of a base on the Hub; default `main`. */
  baseRevision: revision("--base-revision", "the base"),
};

/** transformers 4's default. */
export const DEFAULT_MAX_SHARD_BYTES = 5_000_000_000;

/** What other tools call the folder they make. */
export const TARGET_ELSEWHERE = ["output", "out", "o", "outfile", "save", "path-tuned", "local-dir"];

/** Of the commands that make a folder. */
export const outputOptions = {
  ...inGroup("Output", {
    /** How the weights are stored; default `safetensors`. */
    format: flag(
      "--format <format>",
      "store the weights in this format; bin: as torch.save does",
      oneOf(["safetensors", "bin"]),
    ).default("safetensors"),
    /** Largest shard in bytes; default 5 GB, as transformers 4; a GGUF is one file by default. */
    maxShardBytes: flag(
      "--max-shard-size <size>",
      "write shards of at most this size, e.g. 2GiB (default: 5GB)",
      wholeNumber(1),
      { elsewhere: ["out-shard-size", "split-max-size"] },
    ).optional(),
    /** Write `SHA256SUMS` beside the weights; default false. */
    checksums: toggle("--checksums", "write SHA256SUMS beside the weights, for sha256sum -c"),
    /** Replace a folder that exists, once the new one is whole; default false. */
    overwrite: toggle("--overwrite", "replace an existing folder once the new one is whole"),
  }),
  ...threadsOption,
  ...kernelOption,
  ...inGroup("Speed and resuming", {
    /** Throw away what an interrupted run of the same work finished; default false. */
    restart: toggle("--restart", "start over instead of resuming an interrupted run"),
    /** Wait until everything is on the disk; default true. Without it, an interrupted run starts over. */
    sync: flag("--no-sync", "don't wait for the disk: unsafe if power fails, no resuming", yesOrNo()).default(
      true,
    ),
  }),
  ...hubOption,
};

const SIDES = ["error", "keep", "drop"] as const;

export const matchRules = z.strictObject({
  /** Base value for embedding rows that only the delta has: zeros (default), the mean of its rows, or an error. */
  newRows: flag(
    "--new-rows <rule>",
    "use this base value for embedding rows only the delta has",
    oneOf(["zero", "mean", "error"]),
  ).default("zero"),
  /** Leave out embedding rows that only the delta has (`[PAD]` of Vicuna v0); default false. */
  trimRows: toggle("--trim-pad", "leave out embedding rows only the delta has ([PAD] of v0)"),
  /** What to do with tensors that only the delta has and no rule knows; default `error`. */
  deltaOnly: flag(
    "--delta-only <rule>",
    "refuse, keep or drop tensors only the delta has",
    oneOf(SIDES),
  ).default("error"),
  /** What to do with tensors that only the base has and no rule knows; default `error`. */
  baseOnly: flag(
    "--base-only <rule>",
    "refuse, keep or drop tensors only the base has",
    oneOf(SIDES),
  ).default("error"),
  /**
   * Tensors that the delta holds whole, as some families do with their embeddings: they replace the base's. Names with
   * commas between them, `none`, or `auto` (default): those that the base check recognises.
   */
  replace: flag(
    "--replace <tensors>",
    "take these tensors whole from the delta: names, auto or none",
    text(),
  ).default("auto"),
});

/** What to do with tensors and rows that only one side has. */
export type MatchRules = z.output<typeof matchRules>;

inGroup("When names or rows differ", matchRules.shape);

const DTYPE_WORDS = { ...TORCH_NAMES, Q8_0: "q8_0", Q4_0: "q4_0" };

/** As PyTorch and llama.cpp have them, too. */
const DTYPE_SYNONYMS = {
  ...{ fp16: "F16", bf16: "BF16", fp32: "F32", half: "F16", float: "F32" },
  ...{ f16: "F16", f32: "F32" },
};

/** Decides every number of a merge. */
export const sumOptions = {
  ...inGroup("Output", {
    /** The dtype to write; `auto` (default): each tensor as in the delta. `Q8_0` and `Q4_0` are for GGUF only. */
    dtype: flag(
      "--dtype <dtype>",
      "write this dtype; auto: each tensor as in the delta",
      oneOf(["auto", "F16", "BF16", "F32", "Q8_0", "Q4_0"]),
      {
        words: DTYPE_WORDS,
        synonyms: DTYPE_SYNONYMS,
        elsewhere: ["torch-dtype", "out-dtype", "outtype", "quantize", "precision"],
      },
    ).default("auto"),
    /** target = base + scale * delta; any number but 0, default 1. */
    scale: flag("--scale <x>", "add x * delta, to apply it in part", factor()).default(1),
  }),
  /** What to do with tensors and rows that only one side has. */
  rules: matchRules.optional(),
};
