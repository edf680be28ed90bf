/**
 * In: a model's folder and the rows of its embedding. Out: which tokenizer files are there and whether they have a
 * token for every row. Only looks; mending is tokenizer-repair's.
 * Guards: a file that can't be read is a line in the result, since whoever inspects a broken model wants the rest.
 */

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { parseBoundedJson } from "../files/bounded-json.js";
import { addedTokensSchema } from "./added-tokens.js";
import type { TokenizerState } from "./documents.js";
import { tokenizerConfigSchema } from "./special-tokens.js";
import { tokenizerJsonSchema, vocabularyOfJson, vocabularyOfModel } from "./vocabulary.js";

const TOKENIZER_FILES = [
  "tokenizer.model",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
];

/** The largest tokenizers have some 35 MB; stops a file that would fill the memory. */
const MAX_TOKENIZER_BYTES = 128_000_000;

export function readTokenizerState(folder: string, rows: number | null): TokenizerState {
  const files = TOKENIZER_FILES.filter((name) => existsSync(join(folder, name)));
  const faults: string[] = [];
  const remarks: string[] = [];
  const attempt = <T>(name: string, read: (path: string) => T): T | null => {
    if (!files.includes(name)) return null;
    try {
      return read(join(folder, name));
    } catch (error) {
      faults.push(`${name} can't be read: ${describe(error)}`);
      return null;
    }
  };
  const model = attempt("tokenizer.model", (path) => vocabularyOfModel(readBytes(path), path));
  const tokenizerJson = attempt("tokenizer.json", (path) => tokenizerJsonSchema.parse(readJson(path)));
  const config = attempt("tokenizer_config.json", (path) => tokenizerConfigSchema.parse(readJson(path)));
  const added = attempt("added_tokens.json", (path) => addedTokensSchema.parse(readJson(path)));
  const pieces = (model ?? (tokenizerJson === null ? null : vocabularyOfJson(tokenizerJson)))?.size ?? null;
  const addedIds = new Set([
    ...Object.values(added ?? {}),
    ...(tokenizerJson?.added_tokens ?? []).map(({ id }) => id),
    ...Object.keys(config?.added_tokens_decoder ?? {}).map(Number),
  ]);
  const addedTokens = pieces === null ? null : [...addedIds].filter((id) => id >= pieces).length;
  if (!files.includes("tokenizer.model") && !files.includes("tokenizer.json")) {
    remarks.push("there is neither tokenizer.model nor tokenizer.json");
  }
  if (rows !== null && pieces !== null) {
    const spare = rows - pieces - (addedTokens ?? 0);
    if (spare < 0) faults.push(describeSpareRows(rows, spare));
    if (spare > 0) remarks.push(describeSpareRows(rows, spare));
  }
  return { files, pieces, addedTokens, rows, problems: [...faults, ...remarks], faults };
}

function describeSpareRows(rows: number, spare: number): string {
  const count = (value: number) => value.toLocaleString("en-US");
  if (spare < 0) return `${count(rows - spare)} tokens, but the embedding has only ${count(rows)} rows`;
  return `${spare === 1 ? "1 row" : `${count(spare)} rows`} of the embedding ${spare === 1 ? "has" : "have"} no token`;
}

function readBytes(path: string): Buffer {
  const stat = statSync(path);
  if (!stat.isFile()) throw new Error("it is not a regular file");
  if (stat.size > MAX_TOKENIZER_BYTES) throw new Error(`it is larger than ${MAX_TOKENIZER_BYTES} bytes`);
  return readFileSync(path);
}

function readJson(path: string): unknown {
  return parseBoundedJson(readBytes(path).toString("utf8"));
}

function describe(error: unknown): string {
  if (error instanceof z.ZodError) return `${error.issues[0]?.path.join(".")}: ${error.issues[0]?.message}`;
  return error instanceof Error ? error.message : String(error);
}
