/**
 * The command line, run many times in one process: `run-cli.ts` starts it where a test asks for nothing that only a
 * process of its own can show, such as a signal. Each run has its own words, folder and environment.
 */
import { main } from "../../src/cli/main.js";
import "./without-fsync.js";

export interface HostedRun {
  readonly words: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface HostedResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Collects what is written to a stream until the function it returns is called. */
function capture(stream: NodeJS.WriteStream): () => string {
  const { write } = stream;
  let text = "";
  stream.write = (chunk: string | Uint8Array, ...more: unknown[]) => {
    text += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
    const written = more.at(-1);
    if (typeof written === "function") process.nextTick(written as () => void);
    return true;
  };
  return () => {
    stream.write = write;
    stream.removeAllListeners("error");
    return text;
  };
}

async function runHosted({ words, cwd, env }: HostedRun): Promise<HostedResult> {
  process.chdir(cwd);
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  // The true variables, not another object: os.homedir() asks the system.
  Object.assign(process.env, env);
  process.exitCode = 0;
  const [stdout, stderr] = [capture(process.stdout), capture(process.stderr)];
  await main([process.execPath, "vicuna-apply-delta", ...words]);
  const code = Number(process.exitCode);
  process.exitCode = 0;
  return { code, stdout: stdout(), stderr: stderr() };
}

process.on("message", (run: HostedRun) => {
  void runHosted(run).then((result) => process.send?.(result));
});
