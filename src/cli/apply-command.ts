/** `vicuna-apply-delta --base … --delta … --target …`: the main job, and so the program's own action. */
import type { Command } from "commander";
import { applyOptions } from "../apply/options.js";
import type { ApplyDeltaOptions } from "../index.js";
import { addCommonOptions, type CommonOptions } from "./common-options.js";
import { hubOptionsOf } from "./hub-options.js";
import { addLibraryOptions, libraryOptionsOf, requireOptions } from "./library-options.js";
import { type CommandContext, printResult, runCommand } from "./run-command.js";
import {
  announceUpload,
  makeAndUpload,
  printMade,
  type UploadFlags,
  uploadFlags,
  uploadOf,
} from "./upload-options.js";

interface ApplyCommandOptions extends CommonOptions {
  lowCpuMem?: true;
  dryRun?: true;
}

/** Gives the program its options and its action. */
export function addApplyCommand(program: Command): void {
  addLibraryOptions(program, applyOptions);
  addLibraryOptions(program, uploadFlags)
    .option("--low-cpu-mem", "do nothing: FastChat's option, memory use is always low")
    .option("--dry-run", "print the plan, write nothing; may download models");
  addCommonOptions(program).action((options: ApplyCommandOptions) => {
    requireOptions(program, ["base", "delta", "target"]);
    const given = libraryOptionsOf<ApplyDeltaOptions & UploadFlags>(program);
    return runCommand(options, (context) => apply(given, options, context));
  });
}

async function apply(
  { upload: uploadGiven, ...given }: ApplyDeltaOptions & UploadFlags,
  options: ApplyCommandOptions,
  context: CommandContext,
): Promise<void> {
  const { signal, reporter } = context;
  const { applyDelta, planMerge } = await import("../index.js");
  const { formatPlan, formatSummary } = await import("./apply-text.js");
  if (options.lowCpuMem) reporter.note("--low-cpu-mem changes nothing: memory use is always low.");
  const hub = hubOptionsOf(given.hub);
  const mergeOptions = { ...given, hub, reporter, signal };
  const upload = uploadOf(uploadGiven, hub, context);
  if (options.dryRun) {
    await announceUpload(upload, reporter);
    const plan = await planMerge(mergeOptions);
    printResult({ json: options.json }, plan, (paint) => formatPlan(plan, paint));
    return;
  }
  const { made, uploaded } = await makeAndUpload(upload, given.target, async () => {
    const summary = await applyDelta(mergeOptions);
    return { made: summary, folder: summary.target };
  });
  printMade(options, made, (paint) => formatSummary(made, paint), uploaded);
}
