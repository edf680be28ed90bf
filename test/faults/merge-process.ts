/**
 * A process that runs the command line again and again, each time with another fault; it is started with the fault
 * layer before it. In: a `MergeRequest` a message. Out: a `MergeReply` for each.
 */
import fs from "node:fs";
import { main } from "../../src/cli/main.js";
import type { Fault } from "./fault-kinds.js";
import { armFault, disarmFault, type Hit } from "./fault-layer.js";

export interface MergeRequest {
  readonly args: readonly string[];
  readonly fault: Fault | null;
}

export interface MergeReply {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Null where the run was over before the fault's turn. */
  readonly hit: Hit | null;
  /** Files that stayed open. */
  readonly leaked: number;
}

async function runMain({ args, fault }: MergeRequest): Promise<MergeReply> {
  const texts = { stdout: "", stderr: "" };
  const write = { stdout: process.stdout.write, stderr: process.stderr.write };
  for (const name of ["stdout", "stderr"] as const) {
    process[name].removeAllListeners("error");
    process[name].write = (text: unknown) => {
      texts[name] += String(text);
      return true;
    };
  }
  const before = openFiles();
  if (fault !== null) armFault(fault);
  try {
    await main(["node", "vicuna-apply-delta", ...args]);
  } finally {
    Object.assign(process.stdout, { write: write.stdout });
    Object.assign(process.stderr, { write: write.stderr });
  }
  const hit = disarmFault();
  const exit = Number(process.exitCode ?? 0);
  process.exitCode = 0;
  return { exit, ...texts, hit, leaked: openFiles() - before };
}

function openFiles(): number {
  return fs.existsSync("/proc/self/fd") ? fs.readdirSync("/proc/self/fd").length : 0;
}

process.on("message", (request: MergeRequest) => {
  void runMain(request).then((reply) => process.send?.(reply));
});
