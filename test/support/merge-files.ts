/** Merges two weights files in this process, in a folder that goes away when the test ends. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/apply/apply-delta.js";
import { readSafetensorsFile, type Tensor, temporaryFolder } from "./model-folder.js";

export interface Sides {
  readonly base: Uint8Array;
  readonly delta: Uint8Array;
}

/** Merges two files; the target's tensors by name, and its bytes. */
export async function mergeFiles(
  context: TestContext,
  sides: Sides,
  options: Partial<ApplyDeltaOptions> = {},
): Promise<{ tensors: Map<string, Tensor>; bytes: Buffer }> {
  const root = temporaryFolder(context);
  const path = (name: string) => join(root, name);
  writeFileSync(path("base"), sides.base);
  writeFileSync(path("delta"), sides.delta);
  await applyDelta({
    base: path("base"),
    delta: path("delta"),
    target: path("target"),
    skipBaseCheck: true,
    // Infinities and NaN are added as any other numbers.
    force: true,
    ...options,
  });
  const file = join(path("target"), "model.safetensors");
  const tensors = new Map(readSafetensorsFile(file).map((tensor) => [tensor.name, tensor]));
  return { tensors, bytes: readFileSync(file) };
}
