/** `vicuna-apply-delta make --base … --target … --delta …`: the delta of a model and the base it was tuned from. */
import { type Command, Option } from "commander";
import { EXIT } from "../errors.js";
import type { MakeDeltaOptions, TargetFormat } from "../index.js";
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
import { parsePath, parseSize, parseThreads } from "./values.js";

interface MakeOptions extends CommonOptions, HubCommandOptions, UploadCommandOptions {
  base: string;
  target: string;
  delta: string;
  baseRevision?: string;
  targetRevision?: string;
  format: TargetFormat;
  maxShardSize?: number;
  threads?: number;
  kernel: "auto" | "simd" | "reference";
  targetOnly: "keep" | "drop" | "error";
  baseOnly: "drop" | "error";
  exact?: true;
  overwrite?: true;
  restart?: true;
  sync: boolean;
  checksums?: true;
  dryRun?: true;
}

const EXAMPLE = `
Example:
  $ vicuna-apply-delta make --base llama-7b --target my-vicuna-7b --delta my-vicuna-7b-delta

The delta is in the tuned model's dtype; who has the base gets the tuned model back with
  $ vicuna-apply-delta --base llama-7b --delta my-vicuna-7b-delta --target my-vicuna-7b

Exit codes are those of vicuna-apply-delta; ${EXIT.verification} also where --exact is asked for and not possible.`;

export function addMakeCommand(program: Command): void {
  const command = program.command("make");
  command
    .usage("--base <model> --target <model> --delta <folder> [options]")
    .description("makes a delta: tuned model - base, and proves that applying it gives the tuned model back")
    .option(
      "--base-model-path, --base <model>",
      "the original model: a folder, a weights file, or owner/name on the Hub",
      parsePath,
    )
    .option("--target-model-path, --target <model>", "the model tuned from it: likewise", parsePath)
    .option("--delta-path, --delta <folder>", "the folder to make", parsePath)
    .option("--exact", "make no delta that doesn't give every bit back")
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
      new Option("--kernel <kernel>", "how to subtract; all give the same bits")
        .choices(["auto", "simd", "reference"])
        .default("auto"),
    )
    .addOption(
      new Option("--target-only <rule>", "tensors only the tuned model has")
        .choices(["keep", "drop", "error"])
        .default("keep"),
    )
    .addOption(
      new Option("--base-only <rule>", "tensors only the base has")
        .choices(["error", "drop"])
        .default("error"),
    )
    .option("--overwrite", "replace an existing delta once the new one is whole")
    .option("--restart", "start over instead of going on from an interrupted run")
    .option("--no-sync", "don't wait for a slow disk: not safe against power failure, nor resumable")
    .option("--checksums", "write SHA256SUMS beside the delta, for sha256sum -c")
    .option("--base-revision <revision>", "branch, tag or commit of a base on the Hub", parsePath)
    .option("--target-revision <revision>", "the same for the tuned model", parsePath);
  addStreamOption(addHubOptions(addUploadOptions(command)))
    .option(
      "--dry-run",
      "print the plan and make no delta; without --stream, models on the Hub are downloaded for it",
    )
    .option("--json", "print the result as one JSON document on stdout")
    .option("--no-progress", "show no progress")
    .option("--quiet", "print errors and warnings only")
    .option("--verbose", "print details, and stack traces of errors")
    .helpOption("--help", "print this help")
    .addHelpText("after", EXAMPLE)
    .action((options: MakeOptions) => {
      requireModels(command);
      return runCommand(options, (context) => make(options, context));
    });
}

async function make(options: MakeOptions, context: CommandContext): Promise<void> {
  const { signal, reporter } = context;
  const { makeDelta, planDelta } = await import("../index.js");
  const { formatDeltaPlan, formatMakeSummary } = await import("./make-text.js");
  const makeOptions: MakeDeltaOptions = {
    base: options.base,
    tuned: options.target,
    delta: options.delta,
    format: options.format,
    kernel: options.kernel,
    exact: options.exact ?? false,
    overwrite: options.overwrite ?? false,
    restart: options.restart ?? false,
    sync: options.sync,
    checksums: options.checksums ?? false,
    baseRevision: options.baseRevision,
    tunedRevision: options.targetRevision,
    hub: hubOptionsOf(options, environment()),
    rules: { targetOnly: options.targetOnly, baseOnly: options.baseOnly },
    reporter,
    signal,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.maxShardSize === undefined ? {} : { maxShardBytes: options.maxShardSize }),
  };
  const upload = uploadOf(options, context);
  if (options.dryRun) {
    await announceUpload(upload, reporter);
    const plan = await planDelta(makeOptions);
    if (options.json) print(JSON.stringify(plan, null, 2));
    else printReport((paint) => formatDeltaPlan(plan, paint));
  } else {
    const { made, uploaded } = await makeAndUpload(upload, options.delta, async () => {
      const summary = await makeDelta(makeOptions);
      return { made: summary, folder: summary.delta };
    });
    printMade(options, made, (paint) => formatMakeSummary(made, paint), uploaded);
  }
}
