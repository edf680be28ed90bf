/** A small base and delta on disk, and how to apply the one to the other. */
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder, tinyPair, writeModel } from "./model-folder.js";
import { type CliResult, runCli } from "./run-cli.js";

export const PAIR = tinyPair();

interface Place {
  readonly root: string;
  readonly target: string;
  readonly run: (...more: string[]) => Promise<CliResult>;
}

/** A base and a delta in a folder of their own, and how to apply the one to the other. */
export function place(context: TestContext, base = PAIR.base, delta = PAIR.delta): Place {
  const root = temporaryFolder(context);
  writeModel(join(root, "base"), base);
  writeModel(join(root, "delta"), delta, { format: "torch", shards: 2 });
  const target = join(root, "target");
  const options = ["--base", "base", "--delta", "delta", "--target", "target"];
  return { root, target, run: (...more) => runCli([...options, ...more], { cwd: root }) };
}
