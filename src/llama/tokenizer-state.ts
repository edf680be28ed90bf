/** Whether a model's tokenizer is whole. An unreadable file is a line in the result: the rest is still of use. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isApplyDeltaError } from "../errors.js";
import { JsonDraft } from "../files/json-draft.js";
import { readAssetBytes, readAssetText } from "../files/small-file.js";
import { noPause, type Pause } from "../interrupt.js";
import { plural } from "../units.js";
import type { TokenizerState } from "./documents.js";
import { TOKENIZER_FILES, TOKENIZER_MODEL, VOCABULARY_FILES } from "./file-names.js";
import {
  addedTokens,
  openAddedTokens,
  tokenizerConfigSchema,
  tokenizerJsonSchema,
  vocabularyOfJson,
  vocabularyOfModel,
} from "./tokenizer-files.js";

export async function readTokenizerState(
  folder: string,
  rows: number | null,
  pause: Pause = noPause,
): Promise<TokenizerState> {
  const files = TOKENIZER_FILES.filter((name) => existsSync(join(folder, name)));
  const faults: string[] = [];
  const remarks: string[] = [];
  const attempt = async <T>(name: string, read: (path: string) => T | Promise<T>): Promise<T | null> => {
    if (!files.includes(name)) return null;
    try {
      return await read(join(folder, name));
    } catch (error) {
      if (isApplyDeltaError(error, "interrupted")) throw error;
      faults.push(`${name} can't be read: ${describe(error)}`);
      return null;
    }
  };
  const model = await attempt(TOKENIZER_MODEL, (path) =>
    vocabularyOfModel(readAssetBytes(path), path, pause),
  );
  const tokenizerJson = await attempt("tokenizer.json", (path) =>
    JsonDraft.openLarge(readAssetText(path), tokenizerJsonSchema, pause),
  );
  const config = await attempt(
    "tokenizer_config.json",
    (path) => new JsonDraft(readAssetText(path), tokenizerConfigSchema),
  );
  const added =
    (await attempt("added_tokens.json", (path) => openAddedTokens(readAssetText(path)))) ?? openAddedTokens();
  const vocabulary = model ?? (tokenizerJson && vocabularyOfJson(tokenizerJson.value));
  const pieces = vocabulary?.size ?? null;
  if (!files.some((name) => VOCABULARY_FILES.includes(name))) {
    remarks.push("there is neither tokenizer.model nor tokenizer.json");
  } else if (vocabulary === null && faults.length === 0) {
    remarks.push("tokenizer.model is a list of tiktoken's, and there is no tokenizer.json");
  }
  const ids = [...addedTokens({ config, tokenizerJson, added }).keys()];
  const addedCount = pieces === null ? null : ids.filter((id) => id >= pieces).length;
  if (rows !== null && pieces !== null) {
    const unnamed = rows - pieces - (addedCount ?? 0);
    if (unnamed < 0) {
      faults.push(`${plural(rows - unnamed, "token")}, but the embedding has only ${plural(rows, "row")}`);
    }
    if (unnamed > 0) {
      remarks.push(`${plural(unnamed, "row")} of the embedding ${unnamed === 1 ? "has" : "have"} no token`);
    }
  }
  return { files, pieces, addedTokens: addedCount, rows, problems: [...faults, ...remarks], faults };
}

/** What is wrong in a file; the headline of an error would only repeat the file's name. */
function describe(error: unknown): string {
  if (!isApplyDeltaError(error)) throw error;
  const { cause, got } = error.details;
  return error.code === "bad-json" && cause !== undefined && got !== undefined ? `${got}` : error.message;
}
