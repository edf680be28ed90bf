/**
 * What needs no fault layer: limits and disks of the system itself, and worker threads that die.
 * In: a folder. Out: for each trial what it came to, or null where this system can't do it.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EXIT, errnoOf } from "../../src/errors.js";
import { type CliOptions, type CliResult, runCli } from "../support/run-cli.js";
import { type LayerOptions, OPTIONS_VARIABLE } from "./fault-kinds.js";
import { contents, difference, makeSmallMerge, type SmallMerge } from "./small-merge.js";

export interface Trial {
  readonly name: string;
  /** Null: it went as it should. */
  readonly wrong: string | null;
  readonly exit: number | null;
  /** The first line of what the user sees. */
  readonly message: string;
}

interface Limit {
  readonly name: string;
  readonly exits: readonly number[];
  readonly options: (merge: SmallMerge) => CliOptions;
}

const LAYER = new URL("./fault-layer.js", import.meta.url).href;

/** `ulimit` is a word of the shell. */
const underLimit = (limit: string): CliOptions => ({
  under: ["bash", "-c", `ulimit ${limit} && exec "$0" "$@"`],
});

const withWorkers =
  (workers: NonNullable<LayerOptions["workers"]>) =>
  (merge: SmallMerge): CliOptions => {
    const options: LayerOptions = { source: merge.sources, target: merge.out, fault: null, workers };
    return { nodeOptions: ["--import", LAYER], env: { [OPTIONS_VARIABLE]: JSON.stringify(options) } };
  };

/** Enough for Node to load the command line, too few for the merge. */
const FEW_FILES = 30;

export const LIMITS: readonly Limit[] = [
  { name: "a file may have 4 kB (ulimit -f)", exits: [EXIT.target], options: () => underLimit("-f 4") },
  {
    name: `${FEW_FILES} files may be open (ulimit -n)`,
    exits: [EXIT.source, EXIT.target],
    options: () => underLimit(`-n ${FEW_FILES}`),
  },
  { name: "a worker ends by process.exit(0)", exits: [EXIT.bug], options: withWorkers("exit") },
  { name: "a worker throws when it is loaded", exits: [EXIT.bug], options: withWorkers("throw") },
  { name: "a worker runs out of memory", exits: [EXIT.bug], options: withWorkers("exhaust") },
];

/** Runs the small merge under each limit, and again without. */
export async function tryLimits(root: string): Promise<Trial[]> {
  const merge = makeSmallMerge(root);
  await runCli(merge.args);
  const whole = contents(merge.target);
  const trials: Trial[] = [];
  for (const { name, exits, options } of LIMITS) {
    rmSync(merge.target, { recursive: true, force: true });
    const limited = await runCli(merge.args, options(merge));
    const wrong = !exits.includes(limited.code ?? -1)
      ? `exit ${limited.code ?? limited.signal} instead of ${exits.join(" or ")}`
      : existsSync(merge.target)
        ? "there is a target"
        : await next(merge, whole);
    trials.push(trialOf(name, limited, wrong));
  }
  return trials;
}

interface Expected {
  readonly limit: string;
  /** Null: as without the limit. */
  readonly exit: number | null;
  /** In what the user reads. */
  readonly says: RegExp;
}

/** V8 sets aside some GB of addresses for each memory of WebAssembly; below some 1.5 GB Node itself ends. */
const FEW_ADDRESSES = "-v 4000000";

const OF_ANY_COMMAND: readonly Expected[] = [
  { limit: "-n 20", exit: EXIT.source, says: /EMFILE[\s\S]*ulimit -n/ },
  { limit: "-n 30", exit: EXIT.source, says: /EMFILE[\s\S]*ulimit -n/ },
  { limit: FEW_ADDRESSES, exit: null, says: /the slower reference kernel does the work: .*ulimit -v/ },
];

/** Runs each command under limits that any of them can meet. */
export async function tryCommands(root: string): Promise<Trial[]> {
  const { args, target, sources } = makeSmallMerge(root);
  await runCli(args);
  const [base, delta, made] = ["base", "delta", "made"].map((name) => join(sources, name)) as [
    string,
    string,
    string,
  ];
  const commands: Readonly<Record<string, readonly string[]>> = {
    apply: [...args, "--overwrite", "--restart"],
    verify: ["verify", target],
    compare: ["compare", base, delta],
    inspect: ["inspect", delta, "--base", base],
    make: ["make", "--base", base, "--tuned", target, "--delta", made, "--overwrite"],
  };
  const trials: Trial[] = [];
  for (const [name, words] of Object.entries(commands)) {
    const { code } = await runCli(words);
    for (const { limit, exit, says } of OF_ANY_COMMAND) {
      const limited = await runCli(words, underLimit(limit));
      const expected = exit ?? code;
      // Later versions of Node get by with 30 files for some commands.
      const isEnough = limit.startsWith("-n") && limited.code === code;
      const wrong = isEnough
        ? null
        : limited.code !== expected
          ? `exit ${limited.code ?? limited.signal} instead of ${expected}`
          : says.test(limited.stderr)
            ? null
            : "it doesn't say so";
      trials.push(trialOf(`${name} (ulimit ${limit})`, limited, wrong));
    }
  }
  return trials;
}

async function next(merge: SmallMerge, whole: ReadonlyMap<string, Buffer> | null): Promise<string | null> {
  const result = await runCli(merge.args);
  if (result.code !== EXIT.done) return `the next run fails: ${result.stderr}`;
  if (readdirSync(merge.out).length > 1) return `left over: ${readdirSync(merge.out).join(", ")}`;
  return difference(contents(merge.target), whole ?? new Map());
}

function trialOf(name: string, { code, stderr }: CliResult, wrong: string | null): Trial {
  const lines = stderr.split("\n");
  const message = lines.find((line) => line.startsWith("error: "))?.slice(7) ?? lines[0] ?? "";
  return {
    name,
    wrong: wrong === null ? null : `${wrong}\n${stderr}`,
    exit: code,
    message,
  };
}

/** Room for the target and a little more: what the filler takes is missing at the end. */
const SPARE_BYTES = 16e6;

/**
 * A disk in memory that another program fills while the merge is under way; null where none can be mounted.
 * `args` are those of a merge without its target, whose weights have `bytes`.
 */
export async function tryFullDisk(
  root: string,
  args: readonly string[],
  bytes: number,
): Promise<Trial | null> {
  const disk = join(root, "disk");
  mkdirSync(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes + SPARE_BYTES}`, "none", disk], {
      stdio: "ignore",
    });
  } catch {
    return null;
  }
  try {
    const target = join(disk, "target");
    const filler = join(disk, "filler");
    const withTarget = [...args, "--target", target, "--json"];
    const timers: NodeJS.Timeout[] = [];
    const full = await runCli(withTarget, {
      whileRunning: () => {
        const timer = setInterval(() => {
          const { blocks, bfree, bsize } = statfsSync(disk);
          if ((blocks - bfree) * bsize < bytes / 3) return;
          clearInterval(timer);
          fill(filler, bfree * bsize);
        }, 1);
        timers.push(timer);
      },
    });
    timers.forEach(clearInterval);
    const wrong = await judgeFullDisk(full, { target, filler, withTarget });
    return trialOf("a disk that another program fills meanwhile (tmpfs)", full, wrong);
  } finally {
    execFileSync("umount", [disk]);
  }
}

/** Takes the room that is left, as far as the merge doesn't take it meanwhile. */
function fill(path: string, byteLength: number): void {
  try {
    writeFileSync(path, Buffer.alloc(byteLength));
  } catch (error) {
    if (errnoOf(error) !== "ENOSPC") throw error;
  }
}

async function judgeFullDisk(
  full: CliResult,
  { target, filler, withTarget }: { target: string; filler: string; withTarget: readonly string[] },
): Promise<string | null> {
  if (full.code !== EXIT.target) return `exit ${full.code} instead of ${EXIT.target}`;
  const { error } = JSON.parse(full.stdout) as { error: Record<string, unknown> };
  if (error.code !== "no-space") return `${error.code} instead of no-space`;
  if (!/bytes free/.test(`${error.expected}`) || !/bytes free/.test(`${error.got}`))
    return "it doesn't say how much was needed and had";
  if (existsSync(target)) return "there is a target";
  rmSync(filler);
  const again = await runCli(withTarget);
  return again.code === EXIT.done ? null : `the next run fails: ${again.stderr}`;
}
