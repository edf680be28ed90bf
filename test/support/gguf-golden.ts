/** The folders of models in test/fixtures/gguf, and what llama.cpp's own converter says of them. */
import { readFileSync } from "node:fs";
import { noPause } from "../../src/interrupt.js";
import type { Asset } from "../../src/llama/assets.js";
import type { KeyValue } from "../../src/llama/gguf/key-values.js";
import { type GgufFacts, ggufMetadata, openTokenizer } from "../../src/llama/gguf/metadata.js";
import { fixturePath, projectPath } from "./fixture-path.js";

/** A file's content by its name: JSON, a text, a model of tokenizers by its name; null where the file is absent. */
export type GoldenFiles = Readonly<Record<string, unknown>>;

export type GoldenValue = readonly [key: string, type: string, value: unknown];

export interface GoldenCase {
  readonly name: string;
  readonly outtype: "f32" | "f16" | "bf16" | "q8_0";
  readonly parameters: number;
  /** The files that differ from those that all cases have. */
  readonly files: GoldenFiles;
  readonly values: readonly GoldenValue[];
}

interface Golden {
  readonly files: GoldenFiles;
  /** Long arrays, which several cases share. */
  readonly arrays: readonly unknown[];
  readonly cases: Readonly<Record<string, GoldenCase>>;
}

const readJson = (name: string) => JSON.parse(readFileSync(fixturePath(`gguf/${name}`), "utf8"));

const golden: Golden = readJson("metadata.json");
const llamaJson = readJson("tokenizer.json");

export const GOLDEN_CASES: readonly (readonly [title: string, GoldenCase])[] = Object.entries(
  golden.cases,
).map(([title, one]) => {
  const values = one.values.map(([key, type, value]): GoldenValue => {
    const place = (value as { array?: number } | null)?.array;
    return [key, type, place === undefined ? value : golden.arrays[place]];
  });
  return [title, { ...one, values }];
});

/** Names of models and numbers of parameters, and what gguf-py makes of them. */
export const GOLDEN_NAMES = readJson("names.json");

export const CONFIG = golden.files["config.json"] as Readonly<Record<string, unknown>>;

const MODELS: Readonly<Record<string, string>> = {
  tiny: projectPath("examples/tiny/base/tokenizer.model"),
  odd: fixturePath("gguf/odd.model"),
};

/** The files of a model, as the plan of a merge has them. A `tokenizer.json` is what differs from the fixture's. */
export function goldenAssets(changes: GoldenFiles): Asset[] {
  const files = Object.entries({ ...golden.files, ...changes }).filter(([, content]) => content !== null);
  return files.map(([fileName, content]) => {
    if (fileName === "tokenizer.model")
      return { fileName, copyFrom: MODELS[String(content)] ?? String(content) };
    const value = fileName === "tokenizer.json" ? { ...llamaJson, ...(content as object) } : content;
    return { fileName, text: typeof value === "string" ? value : JSON.stringify(value) };
  });
}

/** What a GGUF of a model with these files says of it. */
export async function metadataOf(
  files: readonly Asset[],
  facts: Pick<GgufFacts, "name" | "parameters" | "fileType"> = { name: "x", parameters: 1, fileType: 1 },
): Promise<KeyValue[]> {
  return ggufMetadata({ files, tokenizer: await openTokenizer(files, noPause), ...facts });
}
