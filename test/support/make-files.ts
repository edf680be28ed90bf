/** Makes the delta of two weights files in this process, and applies it again, in a folder that goes away. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { applyDelta } from "../../src/apply/apply-delta.js";
import type { MakeSummary } from "../../src/make/documents.js";
import { type MakeDeltaOptions, makeDelta } from "../../src/make/make-delta.js";
import { readSafetensorsFile, type Tensor, temporaryFolder } from "./model-folder.js";

export interface Pair {
  readonly base: Uint8Array;
  readonly tuned: Uint8Array;
}

export interface MadeDelta {
  readonly summary: MakeSummary;
  /** The delta's tensors, and those of base + delta, by name. */
  readonly delta: ReadonlyMap<string, Tensor>;
  readonly restored: ReadonlyMap<string, Tensor>;
}

/** Makes the delta and merges it with its base, by the default rules. */
export async function makeAndApply(
  context: TestContext,
  pair: Pair,
  options: Partial<MakeDeltaOptions> = {},
): Promise<MadeDelta> {
  const root = temporaryFolder(context);
  const path = (name: string) => join(root, name);
  writeFileSync(path("base"), pair.base);
  writeFileSync(path("tuned"), pair.tuned);
  const summary = await makeDelta({
    base: path("base"),
    tuned: path("tuned"),
    delta: path("delta"),
    ...options,
  });
  await applyDelta({
    base: path("base"),
    delta: path("delta"),
    force: true,
    target: path("again"),
    rules: { deltaOnly: "keep" },
    skipBaseCheck: true,
  });
  const tensors = (folder: string) =>
    new Map(
      readSafetensorsFile(join(path(folder), "model.safetensors")).map((tensor) => [tensor.name, tensor]),
    );
  return { summary, delta: tensors("delta"), restored: tensors("again") };
}
