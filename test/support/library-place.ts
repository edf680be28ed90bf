/** A small base, delta and tuned model on disk, for calls of the library. */
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { ApplyDeltaOptions } from "../../src/index.js";
import { temporaryFolder, tinyPair, writeModel } from "./model-folder.js";

interface Place {
  readonly root: string;
  readonly base: string;
  readonly delta: string;
  readonly tuned: string;
  /** A merge in several shards. */
  options(target: string, more?: Partial<ApplyDeltaOptions>): ApplyDeltaOptions;
}

export function place(context: TestContext, seed = 1): Place {
  const root = temporaryFolder(context);
  const pair = tinyPair(seed);
  const base = writeModel(join(root, "base"), pair.base);
  const delta = writeModel(join(root, "delta"), pair.delta, { format: "torch", shards: 2 });
  const tuned = writeModel(join(root, "tuned"), pair.tuned);
  const options = (target: string, more: Partial<ApplyDeltaOptions> = {}) => {
    return { base, delta, target: join(root, target), maxShardBytes: 20_000, ...more };
  };
  return { root, base, delta, tuned, options };
}
