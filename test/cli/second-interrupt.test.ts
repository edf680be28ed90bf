/** A second Ctrl-C, while the first one is still at work. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/model-folder.js";

const RUN_COMMAND = new URL("../../src/cli/run-command.js", import.meta.url).href;

/** A command that takes its time to stop. */
function slowCommand(made: string, betweenMs: number): string {
  return `
    const { runCommand } = await import(${JSON.stringify(RUN_COMMAND)});
    await runCommand({}, ${JSON.stringify(made)}, async ({ signal }) => {
      signal.addEventListener("abort", () => process.stdout.write("stopping"));
      process.stdout.write("ready");
      await new Promise((resolve) => setTimeout(resolve, ${1000 + 10 * betweenMs}));
    });`;
}

async function interrupted(made: string, betweenMs: number) {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", slowCommand(made, betweenMs)]);
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const closed = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  await once(child.stdout, "data");
  child.kill("SIGINT");
  await once(child.stdout, "data");
  setTimeout(() => child.kill("SIGINT"), betweenMs);
  const [, signal] = await closed;
  return { signal, stderr };
}

test("it ends the run at once, and says what is left", async (context) => {
  const root = temporaryFolder(context);
  const made = join(root, "out");
  assert.deepEqual(await interrupted(made, 1800), {
    signal: "SIGINT",
    stderr:
      "Stopping as soon as the reads and writes under way are done. Press Ctrl-C again to stop at once.\n" +
      "Stopped at once.\n",
  });
  mkdirSync(`${made}.incomplete`);
  assert.deepEqual(await interrupted(made, 300), {
    signal: "SIGINT",
    stderr: `Stopped at once; ${made}.incomplete remains, and the next run deals with it.\n`,
  });
});

test("one that comes with the first is the same Ctrl-C, passed on by npm", async (context) => {
  const { signal } = await interrupted(join(temporaryFolder(context), "out"), 0);
  assert.equal(signal, null);
});
