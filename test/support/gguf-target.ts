/** GGUFs made of the example, and what is in them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Budget } from "../../src/budget.js";
import type { GgufEntry } from "../../src/formats/gguf/metadata.js";
import { readGguf } from "../../src/formats/gguf/reader.js";
import { HeaderReader } from "../../src/formats/header-reader.js";
import { type ApplyDeltaOptions, applyDelta } from "../../src/index.js";
import { byteLengthOf, type DType, denseSpan } from "../../src/tensor.js";
import { projectPath } from "./fixture-path.js";
import { memoryFile } from "./memory-file.js";
import { temporaryFolder } from "./model-folder.js";

export const SOURCES = { base: projectPath("examples/tiny/base"), delta: projectPath("examples/tiny/delta") };

/** Makes a target of the example, by default `vicuna.gguf` in a folder of its own; gives its path. */
export async function tinyGguf(
  context: TestContext,
  { target = "vicuna.gguf", ...more }: Partial<ApplyDeltaOptions> = {},
): Promise<string> {
  const path = join(temporaryFolder(context), target);
  await applyDelta({ ...SOURCES, target: path, sync: false, ...more });
  return path;
}

export interface StoredTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Buffer;
  readonly offsetBytes: number;
}

/** The keys and tensors of a file. */
export async function readGgufFile(
  path: string,
): Promise<{ keys: readonly GgufEntry[]; tensors: StoredTensor[]; bytes: Buffer }> {
  const bytes = readFileSync(path);
  const { metadata, tensors } = await readGguf(new HeaderReader(memoryFile(bytes, path), new Budget()));
  const stored = tensors.map((view) => {
    const offsetBytes = denseSpan(view)?.offsetBytes ?? 0;
    const data = bytes.subarray(offsetBytes, offsetBytes + byteLengthOf(view));
    return { name: view.name, dtype: view.dtype, shape: view.shape, data, offsetBytes };
  });
  return { keys: metadata, tensors: stored, bytes };
}
