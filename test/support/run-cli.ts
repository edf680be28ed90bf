/**
 * Runs the command line tool: in a process that is kept for the next run, since starting one takes longer than most
 * runs do, or as its users do, in a process of its own, wherever a test looks at the process.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { HostedResult, HostedRun } from "./cli-host.js";
import { projectPath } from "./fixture-path.js";

const BIN = projectPath("bin/vicuna-apply-delta.js");

export interface CliResult {
  /** The exit code, or null where a signal ended the process. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  /** Variables besides the usual ones; `undefined` takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Words before the program's: a limit to run it under, for example. */
  readonly under?: readonly string[];
  /** Options of Node's own. */
  readonly nodeOptions?: readonly string[];
  /** Called with the process while it runs. */
  readonly whileRunning?: (child: ChildProcess) => void;
}

/** No test depends on this machine's login, cache or proxies, and none asks a network unless it says so. */
const NEUTRAL: Readonly<Record<string, string | undefined>> = {
  ...Object.fromEntries(
    Object.keys(process.env)
      .filter((name) => /^(?:HF_|HUGGING|TRANSFORMERS_)|_proxy$/i.test(name))
      .map((name) => [name, undefined]),
  ),
  HF_HUB_OFFLINE: "1",
  HF_HOME: "huggingface",
  // A run of more than some seconds, as on a busy machine, would print lines.
  HF_HUB_DISABLE_PROGRESS_BARS: "1",
  // The test runner sets it for its own output on a terminal.
  FORCE_COLOR: undefined,
  NO_COLOR: undefined,
};

/** Processes that wait for a run. */
const idle: ChildProcess[] = [];

/** Less memory than V8 takes by itself: what grows without bound ends the process. */
const HEAP_LIMIT = "--max-old-space-size=256";

function startHost(): ChildProcess {
  const path = fileURLToPath(new URL("./cli-host.js", import.meta.url));
  return fork(path, { execArgv: [HEAP_LIMIT], stdio: ["ignore", "inherit", "inherit", "ipc"] });
}

async function runHosted(run: HostedRun): Promise<CliResult> {
  const host = idle.pop() ?? startHost();
  host.ref();
  host.channel?.ref();
  const result = await new Promise<HostedResult>((resolve, reject) => {
    host.once("message", resolve);
    host.once("exit", (code) => reject(new Error(`The command line ended its process: ${code}`)));
    host.send(run);
  });
  host.removeAllListeners();
  host.unref();
  host.channel?.unref();
  idle.push(host);
  return { ...result, signal: null };
}

/** A run that takes longer hangs. */
const KILL_AFTER_MS = 300_000;

/** Resolves when the run has ended, however it ended. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { under, nodeOptions, whileRunning } = options;
  const env = { ...process.env, ...NEUTRAL, ...options.env };
  const cwd = options.cwd ?? process.cwd();
  const isHosted = [under, nodeOptions, whileRunning].every((needed) => needed === undefined);
  if (isHosted) return runHosted({ words: args, cwd, env });
  return new Promise((resolve, reject) => {
    const command = [...(under ?? []), process.execPath, ...(nodeOptions ?? []), BIN, ...args];
    const child = spawn(command[0] ?? "", command.slice(1), {
      stdio: ["ignore", "pipe", "pipe"],
      env,
      cwd,
      timeout: KILL_AFTER_MS,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
    whileRunning?.(child);
  });
}
