/**
 * `vicuna-apply-delta --base … --delta … --target …`: the main job, and so the program's own action.
 */
import { type Command, Option } from "commander";
import type { ApplyDeltaOptions, PromptStyle, SumDType, TargetFormat } from "../index.js";
import { environment } from "./environment.js";
import { addHubOptions, addStreamOption, type HubCommandOptions, hubOptionsOf } from "./hub-options.js";
import { requireModels } from "./required.js";
import { type CommandContext, type CommonOptions, print, printReport, runCommand } from "./run-command.js";
import {
  addUploadOptions,
  announceUpload,
  makeAndUpload,
  printMade,
  type UploadCommandOptions,
  uploadOf,
} from "./upload-options.js";
import { parsePath, parseScale, parseSize, parseThreads } from "./values.js";

interface ApplyOptions extends CommonOptions, HubCommandOptions, UploadCommandOptions {
  base: string;
  delta: string;
  baseRevision?: string;
  deltaRevision?: string;
  target: string;
  dtype: "auto" | "float16" | "bfloat16" | "float32";
  format: TargetFormat;
  maxShardSize?: number;
  threads?: number;
  kernel: "auto" | "simd" | "reference";
  scale: number;
  newRows: "zero" | "mean" | "error";
  trimPad?: true;
  deltaOnly: "error" | "keep" | "drop";
  baseOnly: "error" | "keep" | "drop";
  chatTemplate?: "auto" | PromptStyle;
  overwrite?: true;
  restart?: true;
  sync: boolean;
  force?: true;
  skipBaseCheck?: true;
  verifyDelta?: true;
  checksums?: true;
  verify?: true;
  lowCpuMem?: true;
  dryRun?: true;
}

/** How each dtype is spelled on the command line. */
export const DTYPES: Record<ApplyOptions["dtype"], "auto" | SumDType> = {
  auto: "auto",
  float16: "F16",
  bfloat16: "BF16",
  float32: "F32",
};

/** Gives the program its options and its action. */
export function addApplyCommand(program: Command): void {
  const onSides = ["error", "keep", "drop"];
  program
    .option(
      "--base-model-path, --base <model>",
      "the original model: a folder, a weights file, or owner/name on the Hub",
      parsePath,
    )
    .option("--delta-path, --delta <model>", "the delta: likewise", parsePath)
    .option("--target-model-path, --target <folder>", "the folder to make", parsePath)
    .addOption(
      new Option("--dtype <dtype>", "dtype to write; auto: each tensor as in the delta")
        .choices(Object.keys(DTYPES))
        .default("auto"),
    )
    .addOption(
      new Option("--format <format>", "how to store the weights; bin: as torch.save does")
        .choices(["safetensors", "bin"])
        .default("safetensors"),
    )
    .option("--max-shard-size <size>", "largest shard, e.g. 500MB or 2GiB (default: 5GB)", parseSize)
    .option(
      "--threads <n>",
      "worker threads (default: one a core, at most 4, or 2 with --stream)",
      parseThreads,
    )
    .addOption(
      new Option("--kernel <kernel>", "how to add; all give the same bits")
        .choices(["auto", "simd", "reference"])
        .default("auto"),
    )
    .addOption(
      new Option("--new-rows <rule>", "what the base counts as in embedding rows only the delta has")
        .choices(["zero", "mean", "error"])
        .default("zero"),
    )
    .option("--trim-pad", "leave out embedding rows only the delta has ([PAD] of Vicuna v0)")
    .addOption(
      new Option("--delta-only <rule>", "tensors only the delta has").choices(onSides).default("error"),
    )
    .addOption(
      new Option("--base-only <rule>", "tensors only the base has").choices(onSides).default("error"),
    )
    .option("--scale <x>", "target = base + x * delta, to apply it in part", parseScale, 1)
    .addOption(
      new Option("--chat-template [style]", "write the release's prompt template into the tokenizer's config")
        .choices(["auto", "v0", "v1.1"])
        .preset("auto"),
    )
    .option("--overwrite", "replace an existing target once the new one is whole")
    .option("--restart", "start over instead of going on from an interrupted run")
    .option("--no-sync", "don't wait for a slow disk: not safe against power failure, nor resumable")
    .option("--force", "merge even if the base check says that the base is wrong")
    .option("--skip-base-check", "don't check whether the base is the delta's")
    .option("--verify-delta", "compare the delta's files with the published SHA-256 first")
    .option("--checksums", "write SHA256SUMS beside the model, for sha256sum -c")
    .option("--verify", "read the target back from the disk and compare it before it appears")
    .option("--low-cpu-mem", "accepted for FastChat's sake; memory use is always low")
    .option("--base-revision <revision>", "branch, tag or commit of a base on the Hub", parsePath)
    .option("--delta-revision <revision>", "branch, tag or commit of a delta on the Hub", parsePath);
  addStreamOption(addHubOptions(addUploadOptions(program)))
    .option(
      "--dry-run",
      "print the plan and make no target; without --stream, models on the Hub are downloaded for it",
    )
    .option("--json", "print the result as one JSON document on stdout")
    .option("--no-progress", "show no progress")
    .option("--quiet", "print errors and warnings only")
    .option("--verbose", "print details, and stack traces of errors")
    .action((options: ApplyOptions) => {
      requireModels(program);
      return runCommand(options, (context) => apply(options, context));
    });
}

async function apply(options: ApplyOptions, context: CommandContext): Promise<void> {
  const { signal, reporter } = context;
  // Loaded here, so that --help and --version don't pay for it.
  const { applyDelta, planMerge } = await import("../index.js");
  const { formatPlan, formatSummary } = await import("./apply-text.js");
  if (options.lowCpuMem) reporter.note("--low-cpu-mem changes nothing: memory use is always low.");
  const mergeOptions: ApplyDeltaOptions = {
    base: options.base,
    delta: options.delta,
    baseRevision: options.baseRevision,
    deltaRevision: options.deltaRevision,
    hub: hubOptionsOf(options, environment()),
    target: options.target,
    dtype: DTYPES[options.dtype],
    format: options.format,
    kernel: options.kernel,
    overwrite: options.overwrite ?? false,
    restart: options.restart ?? false,
    sync: options.sync,
    force: options.force ?? false,
    skipBaseCheck: options.skipBaseCheck ?? false,
    verifyDelta: options.verifyDelta ?? false,
    checksums: options.checksums ?? false,
    verify: options.verify ?? false,
    scale: options.scale,
    chatTemplate: options.chatTemplate ?? null,
    rules: {
      newRows: options.newRows,
      trimRows: options.trimPad ?? false,
      deltaOnly: options.deltaOnly,
      baseOnly: options.baseOnly,
    },
    reporter,
    signal,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.maxShardSize === undefined ? {} : { maxShardBytes: options.maxShardSize }),
  };
  const upload = uploadOf(options, context);
  if (options.dryRun) {
    await announceUpload(upload, reporter);
    const plan = await planMerge(mergeOptions);
    if (options.json) print(JSON.stringify(plan, null, 2));
    else printReport((paint) => formatPlan(plan, paint));
  } else {
    const { made, uploaded } = await makeAndUpload(upload, options.target, async () => {
      const summary = await applyDelta(mergeOptions);
      return { made: summary, folder: summary.target };
    });
    printMade(options, made, (paint) => formatSummary(made, paint), uploaded);
  }
}
