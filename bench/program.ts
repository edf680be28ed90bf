/** Runs this checkout's program, and sees from outside how much memory it takes. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

export const BIN = fileURLToPath(new URL("../../bin/vicuna-apply-delta.js", import.meta.url));

/** The system keeps the peak; what is missed is what a process takes in its last moments. */
const LOOK_EACH_MS = 20;

/** Resolves when it has ended well, with the most memory it had in bytes (Linux; elsewhere 0). */
export async function runProgram(...args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [BIN, ...args, "--quiet"], { stdio: ["ignore", "ignore", "pipe"] });
  let peakBytes = 0;
  const look = setInterval(() => {
    peakBytes = Math.max(peakBytes, peakOf(child.pid ?? 0));
  }, LOOK_EACH_MS);
  const exit = new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
  // Its warning that the pair has no tokenizer is not shown.
  const [stderr, status] = await Promise.all([text(child.stderr), exit]);
  clearInterval(look);
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}:\n${stderr}`);
  return peakBytes;
}

function peakOf(pid: number): number {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}
