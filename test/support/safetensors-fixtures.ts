/** What `test/fixtures/safetensors/make_fixtures.py` noted of the files it made. */
import { readFileSync } from "node:fs";
import type { DType } from "../../src/tensor.js";
import { fixturePath } from "./fixture-path.js";

export interface ExpectedTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Base64. */
  readonly data: string;
}

export interface ExpectedFile {
  readonly fileName: string;
  /** Whether the file's metadata is what `save_pretrained` writes. */
  readonly metadataIsPt: boolean;
  /** In the order of their data. */
  readonly tensors: readonly ExpectedTensor[];
}

/** Every safetensors fixture. */
export function expectedFiles(): ExpectedFile[] {
  const text = readFileSync(fixturePath("safetensors/expected.json"), "utf8");
  const files = JSON.parse(text) as Record<string, Omit<ExpectedFile, "fileName">>;
  return Object.entries(files).map(([fileName, file]) => ({ fileName, ...file }));
}
