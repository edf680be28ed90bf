/** Runs the command line tool as its users do: as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const BIN = fileURLToPath(new URL("../../../bin/vicuna-apply-delta.js", import.meta.url));

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
  /** Limit of V8's heap. */
  readonly heapMegabytes?: number;
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
  // The test runner sets it for its own output on a terminal.
  FORCE_COLOR: undefined,
  NO_COLOR: undefined,
};

/** Resolves when the process has ended, however it ended. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { cwd, env, heapMegabytes, under = [], nodeOptions = [], whileRunning } = options;
  const nodeArgs = heapMegabytes === undefined ? [] : [`--max-old-space-size=${heapMegabytes}`];
  return new Promise((resolve, reject) => {
    const [command = "", ...words] = [...under, process.execPath, ...nodeArgs, ...nodeOptions, BIN, ...args];
    const child = spawn(command, words, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...NEUTRAL, ...env },
      ...(cwd === undefined ? {} : { cwd }),
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
