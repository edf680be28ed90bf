/**
 * The command line: words in, typed options out; errors to messages and exit codes. Nothing is decided here that
 * a program calling `applyDelta` would have to decide again.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { ApplyDeltaOptions } from "./apply-delta.js";
import { EXIT, isApplyDeltaError } from "./errors.js";
import type { SumDType } from "./tensor.js";

interface CliOptions {
  base: string;
  delta: string;
  target: string;
  dtype: "auto" | "float16" | "bfloat16" | "float32";
  maxShardSize?: number;
  threads?: number;
  kernel: "auto" | "simd" | "reference";
  newRows: "zero" | "error";
  deltaOnly: "error" | "keep" | "drop";
  baseOnly: "error" | "keep" | "drop";
  overwrite: boolean;
  force: boolean;
  skipBaseCheck: boolean;
  lowCpuMem: boolean;
  dryRun: boolean;
  json: boolean;
  progress: boolean;
  quiet: boolean;
  verbose: boolean;
}

const DTYPES: Record<CliOptions["dtype"], "auto" | SumDType> = {
  auto: "auto",
  float16: "F16",
  bfloat16: "BF16",
  float32: "F32",
};

const EXAMPLES = `
Examples:
  $ vicuna-apply-delta --base llama-7b --delta vicuna-7b-delta-v1.1 --target vicuna-7b
  $ vicuna-apply-delta --base llama-7b --delta vicuna-7b-delta-v1.1 --target vicuna-7b --dry-run
  $ vicuna-apply-delta --base llama-13b --delta delta.bin --target out --dtype bfloat16 --max-shard-size 2GB --json

Exit codes: 0 done, 2 usage, 3 a source can't be found or read, 4 a checkpoint is malformed or of a kind that
isn't read, 5 base and delta don't fit, 6 the target can't be written, 7 verification failed, 130 interrupted,
1 a bug of this program.`;

/** Runs the tool. `argv` as in `process.argv`. Sets `process.exitCode`, never exits. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that closes its end of a pipe (`| head`) is no error of ours.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
  const command = createCommand();
  try {
    command.parse(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    return;
  }
  process.exitCode = await run(command.opts<CliOptions>());
}

function createCommand(): Command {
  const onSides = ["error", "keep", "drop"];
  return new Command("vicuna-apply-delta")
    .description("Applies delta weights to a base model: target = base + delta, bit for bit as PyTorch adds.")
    .requiredOption("--base-model-path, --base <model>", "the original model: a folder or a weights file")
    .requiredOption("--delta-path, --delta <model>", "the delta: a folder or a weights file")
    .requiredOption("--target-model-path, --target <folder>", "the folder to make")
    .addOption(
      new Option("--dtype <dtype>", "dtype to write; auto: each tensor as in the delta")
        .choices(Object.keys(DTYPES))
        .default("auto"),
    )
    .option("--max-shard-size <size>", "largest shard, e.g. 500MB or 2GiB (default: 5GB)", parseSize)
    .option("--threads <n>", "worker threads (default: one a core, 8 at most)", parseThreads)
    .addOption(
      new Option("--kernel <kernel>", "how to add; all give the same bits")
        .choices(["auto", "simd", "reference"])
        .default("auto"),
    )
    .addOption(
      new Option("--new-rows <rule>", "what the base counts as in embedding rows only the delta has")
        .choices(["zero", "error"])
        .default("zero"),
    )
    .addOption(
      new Option("--delta-only <rule>", "tensors only the delta has").choices(onSides).default("error"),
    )
    .addOption(
      new Option("--base-only <rule>", "tensors only the base has").choices(onSides).default("error"),
    )
    .option("--overwrite", "replace an existing target once the new one is whole", false)
    .option("--force", "merge even if the base check says that the base is wrong", false)
    .option("--skip-base-check", "don't check whether the base is the delta's", false)
    .option("--low-cpu-mem", "accepted for FastChat's sake; memory use is always low", false)
    .option("--dry-run", "print the plan and touch nothing", false)
    .option("--json", "print the result as one JSON document on stdout", false)
    .option("--no-progress", "show no progress")
    .option("--quiet", "print errors and warnings only", false)
    .option("--verbose", "print details, and stack traces of errors", false)
    .version(readVersion(), "--version", "print the version")
    .helpOption("--help", "print this help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .showHelpAfterError("(vicuna-apply-delta --help lists the options)")
    .exitOverride();
}

async function run(options: CliOptions): Promise<number> {
  const controller = new AbortController();
  let stopSignal: "SIGINT" | "SIGTERM" | undefined;
  const stop = (signal: "SIGINT" | "SIGTERM") => {
    stopSignal = signal;
    controller.abort();
  };
  // Once: a second Ctrl-C finds the default handler and ends the process at once.
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    await apply(options, controller.signal);
    return EXIT.done;
  } catch (error) {
    reportError(error, options);
    if (stopSignal === "SIGTERM" && isApplyDeltaError(error, "interrupted")) return EXIT.terminated;
    return isApplyDeltaError(error) ? error.exitCode : EXIT.bug;
  } finally {
    process.removeListener("SIGINT", stop);
    process.removeListener("SIGTERM", stop);
  }
}

async function apply(options: CliOptions, signal: AbortSignal): Promise<void> {
  // Loaded here, so that --help and --version don't pay for it.
  const { applyDelta, planMerge } = await import("./apply-delta.js");
  const { createStreamReporter } = await import("./report/stream-reporter.js");
  const { formatPlan, formatSummary, planDocument } = await import("./report/summary.js");
  const reporter = createStreamReporter({
    stream: process.stderr,
    level: options.quiet ? "quiet" : options.verbose ? "verbose" : "normal",
    showProgress: options.progress,
  });
  if (options.lowCpuMem) reporter.note("--low-cpu-mem changes nothing: memory use is always low.");
  const mergeOptions: ApplyDeltaOptions = {
    base: options.base,
    delta: options.delta,
    target: options.target,
    dtype: DTYPES[options.dtype],
    kernel: options.kernel,
    overwrite: options.overwrite,
    force: options.force,
    skipBaseCheck: options.skipBaseCheck,
    rules: { newRows: options.newRows, deltaOnly: options.deltaOnly, baseOnly: options.baseOnly },
    reporter,
    signal,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.maxShardSize === undefined ? {} : { maxShardBytes: options.maxShardSize }),
  };
  if (options.dryRun) {
    const prepared = await planMerge(mergeOptions);
    print(options.json ? JSON.stringify(planDocument(prepared), null, 2) : formatPlan(prepared));
  } else {
    const summary = await applyDelta(mergeOptions);
    if (options.json) print(JSON.stringify(summary, null, 2));
    else if (!options.quiet) print(formatSummary(summary));
  }
}

/** The message on stderr; with --json, also the one document that stdout gets. */
function reportError(error: unknown, options: CliOptions): void {
  const isOurs = isApplyDeltaError(error);
  const text = isOurs ? error.format() : `This is a bug of vicuna-apply-delta: ${String(error)}`;
  process.stderr.write(`error: ${text}\n`);
  if (error instanceof Error && (options.verbose || !isOurs))
    process.stderr.write(`${describeStack(error)}\n`);
  if (!options.json) return;
  const { cause: _, ...details } = isOurs ? error.details : {};
  const code = isOurs ? error.code : "bug";
  const message = error instanceof Error ? error.message : String(error);
  print(JSON.stringify({ error: { code, message, ...details } }, null, 2));
}

function describeStack(error: Error): string {
  const causes: string[] = [];
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    causes.push(cause.stack ?? String(cause));
  return causes.join("\ncaused by: ");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const UNITS: Record<string, number> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** `5GB`, `1.5GiB`, `500000`: bytes. */
function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? "?"];
  const bytes = Math.floor(Number(match?.[1]) * (unit ?? Number.NaN));
  if (!(bytes >= 1) || !Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError("Give a size such as 5GB, 500MB or 2GiB.");
  }
  return bytes;
}

/** More threads than this are a typing error. */
const MOST_THREADS = 256;

function parseThreads(text: string): number {
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    throw new InvalidArgumentError(`Give a whole number from 1 to ${MOST_THREADS}.`);
  }
  return threads;
}

function readVersion(): string {
  const path = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}
