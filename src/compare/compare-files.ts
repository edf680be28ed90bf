/**
 * In: the folders of two models. Out: how config and tokenizer differ, file by file and key by key.
 * Guards: a difference is one unless it is known not to change what the model does; then it is a note.
 */

import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { ApplyDeltaError } from "../errors.js";
import { JsonDraft, type JsonFile } from "../files/json-draft.js";
import { readAssetBytes, readAssetText } from "../files/small-file.js";
import { readSentencePiece, SPECIAL_ROLES } from "../llama/sentencepiece.js";
import type { FileComparison, FileKey } from "./documents.js";
import { isNestedDeeper, type JsonDifference, jsonDifferences } from "./json-differences.js";

/** Two vocabularies may differ in every token. */
export const MAX_KEYS = 1_000;

/** A tokenizer.json has some ten levels; stops a file of a million `[` that would fill the stack. */
const MAX_NESTING = 64;

/** Longer values are cut to this around the first character that differs: a chat template is a page. */
const MAX_VALUE = 80;

/** What is shown of what comes before it. */
const VALUE_LEAD = 20;

/** Where a file came from and which program wrote it: nothing that a loader acts on. */
const PROVENANCE = new Set([
  "_name_or_path",
  "name_or_path",
  "_commit_hash",
  "_from_model_config",
  "transformers_version",
  "tokenizer_file",
  "special_tokens_map_file",
]);

const NO_KEYS: ReadonlySet<string> = new Set();

/** The JSON files, with the keys that are only notes. */
const JSON_FILES: Readonly<Record<string, ReadonlySet<string>>> = {
  "config.json": PROVENANCE,
  "generation_config.json": PROVENANCE,
  "tokenizer_config.json": PROVENANCE,
  "special_tokens_map.json": NO_KEYS,
  "added_tokens.json": NO_KEYS,
  "tokenizer.json": NO_KEYS,
};

const MODEL = "tokenizer.model";
const TEMPLATE = "chat_template.jinja";

const FILES = [...Object.keys(JSON_FILES), MODEL, TEMPLATE];

/** Two forms of one vocabulary: where both sides have the one, the other may be missing. */
const VOCABULARIES = [MODEL, "tokenizer.json"];

/** Files that neither side has are left out. Errors: `bad-json`, `tokenizer-malformed`, those of reading. */
export function compareFiles(folderA: string, folderB: string): FileComparison[] {
  const sides = (file: string) => ({ a: join(folderA, file), b: join(folderB, file) });
  const present = FILES.map((file) => {
    const { a, b } = sides(file);
    return { file, inA: existsSync(a), inB: existsSync(b) };
  }).filter(({ inA, inB }) => inA || inB);
  const sharesVocabulary = present.some(({ file, inA, inB }) => VOCABULARIES.includes(file) && inA && inB);
  return present.map(({ file, inA, inB }) => {
    if (inA && inB) return compareFile(file, sides(file));
    const isDifferent = !(sharesVocabulary && VOCABULARIES.includes(file));
    return { file, isDifferent, onlyIn: inA ? "a" : "b", differences: 0, notes: 0, keys: [] };
  });
}

interface Sides {
  readonly a: string;
  readonly b: string;
}

function compareFile(file: string, paths: Sides): FileComparison {
  const keys: FileKey[] = [];
  let differences = 0;
  let notes = 0;
  for (const key of differencesOf(file, paths)) {
    if (key.isNote) notes++;
    else differences++;
    if (keys.length < MAX_KEYS) keys.push({ ...key, ...shorten(key) });
  }
  return { file, isDifferent: differences > 0, onlyIn: null, differences, notes, keys };
}

function differencesOf(file: string, paths: Sides): Iterable<FileKey> {
  const noteKeys = JSON_FILES[file];
  if (noteKeys !== undefined) return jsonKeys(paths, noteKeys);
  return file === MODEL ? modelKeys(paths) : textKeys(paths);
}

function* jsonKeys(paths: Sides, noteKeys: ReadonlySet<string>): Generator<FileKey> {
  const [a, b] = [readAssetText(paths.a), readAssetText(paths.b)];
  if (a.text === b.text) return;
  for (const { key, ...difference } of jsonDifferences(parse(a), parse(b))) {
    const isNote = (key !== null && noteKeys.has(key)) || isDefault(difference);
    yield { ...difference, isNote };
  }
}

function parse(file: JsonFile): unknown {
  const { value } = new JsonDraft(file, z.unknown());
  if (!isNestedDeeper(value, MAX_NESTING)) return value;
  const name = basename(file.path);
  throw new ApplyDeltaError("bad-json", `${name} is nested deeper than any ${name} is.`, {
    file: file.path,
    expected: `at most ${MAX_NESTING} levels`,
    hint: `Download ${name} again from where the model came from.`,
  });
}

/** Loaders take a key that is null and one that isn't there alike. */
function isDefault({ a, b }: Omit<JsonDifference, "key">): boolean {
  return (a === null && b === "null") || (a === "null" && b === null);
}

function* modelKeys(paths: Sides): Generator<FileKey> {
  const bytes = { a: readAssetBytes(paths.a), b: readAssetBytes(paths.b) };
  if (bytes.a.equals(bytes.b)) return;
  const [a, b] = [readSentencePiece(bytes.a, paths.a), readSentencePiece(bytes.b, paths.b)];
  const pieceOf = ({ pieces, scores, types }: typeof a, id: number) =>
    id < pieces.length ? `${JSON.stringify(pieces[id])} score ${scores[id]} type ${types[id]}` : null;
  let isEqual = true;
  const differ = function* (at: string, left: string | null, right: string | null): Generator<FileKey> {
    if (left === right) return;
    isEqual = false;
    yield { at, a: left, b: right, isNote: false };
  };
  for (let id = 0; id < Math.max(a.pieces.length, b.pieces.length); id++)
    yield* differ(`piece ${id}`, pieceOf(a, id), pieceOf(b, id));
  for (const role of SPECIAL_ROLES)
    yield* differ(`${role} id`, String(a.special[role]?.id ?? null), String(b.special[role]?.id ?? null));
  for (const spec of ["normalizer", "denormalizer"] as const) yield* differ(spec, hex(a[spec]), hex(b[spec]));
  // What is left is how the trainer was called, and its own tests.
  const left = { a: `${bytes.a.length} bytes`, b: `${bytes.b.length} bytes` };
  if (isEqual) yield { at: "settings of its training", ...left, isNote: true };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function* textKeys(paths: Sides): Generator<FileKey> {
  const [a, b] = [readAssetText(paths.a).text, readAssetText(paths.b).text];
  if (a !== b) yield { at: "text", a: JSON.stringify(a), b: JSON.stringify(b), isNote: false };
}

function shorten({ a, b }: Pick<FileKey, "a" | "b">): Pick<FileKey, "a" | "b"> {
  const start = Math.max(0, commonLength(a ?? "", b ?? "") - VALUE_LEAD);
  const cut = (text: string | null) => {
    if (text === null || text.length <= MAX_VALUE) return text;
    const from = Math.min(start, text.length - MAX_VALUE);
    const piece = text.slice(from, from + MAX_VALUE);
    return `${from > 0 ? "…" : ""}${piece}${from + MAX_VALUE < text.length ? "…" : ""}`;
  };
  return { a: cut(a), b: cut(b) };
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
