/**
 * How config and tokenizer of two models differ, file by file and key by key. A difference that is known not to change
 * what the model does is only a note.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { JsonDraft } from "../files/json-draft.js";
import { readAssetBytes, readAssetText } from "../files/small-file.js";
import { ASSET_NAMES, TOKENIZER_MODEL, VOCABULARY_FILES } from "../llama/file-names.js";
import { readSentencePiece, SPECIAL_ROLES } from "../llama/sentencepiece.js";
import type { FileComparison, FileKey } from "./documents.js";
import { type JsonDifference, jsonDifferences } from "./json-differences.js";

/** Two vocabularies may differ in every token. */
export const MAX_KEYS = 1_000;

/** Longer values are cut to this around the first character that differs: a chat template is a page. */
const MAX_VALUE = 80;

/** What is shown of what comes before it. */
const VALUE_LEAD = 20;

/** Keys of configs that say where the file came from and which program wrote it: loaders don't act on them. */
const PROVENANCE = new Set([
  "_name_or_path",
  "name_or_path",
  "_commit_hash",
  "_from_model_config",
  "transformers_version",
  "tokenizer_file",
  "special_tokens_map_file",
]);

/** Files that neither side has are left out. Errors: `bad-json`, `tokenizer-malformed`, those of reading. */
export function compareFiles(folderA: string, folderB: string): FileComparison[] {
  const present = ASSET_NAMES.map((file) => {
    const paths = { a: join(folderA, file), b: join(folderB, file) };
    return { file, paths, inA: existsSync(paths.a), inB: existsSync(paths.b) };
  }).filter(({ inA, inB }) => inA || inB);
  // Two forms of one vocabulary: if both sides have the one, the other may be missing.
  const sharesVocabulary = present.some(
    ({ file, inA, inB }) => VOCABULARY_FILES.includes(file) && inA && inB,
  );
  return present.map(({ file, paths, inA, inB }) => {
    if (inA && inB) return compareFile(file, paths);
    const isDifferent = !(sharesVocabulary && VOCABULARY_FILES.includes(file));
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
  if (file === TOKENIZER_MODEL) return modelKeys(paths);
  return file.endsWith(".json") ? jsonKeys(file, paths) : textKeys(paths);
}

function* jsonKeys(file: string, paths: Sides): Generator<FileKey> {
  const [a, b] = [readAssetText(paths.a), readAssetText(paths.b)];
  if (a.text === b.text) return;
  const isConfig = file.endsWith("config.json");
  const values = [a, b].map((side) => new JsonDraft(side, z.unknown()).value);
  for (const { key, ...difference } of jsonDifferences(values[0], values[1])) {
    const isProvenance = isConfig && key !== null && PROVENANCE.has(key);
    yield { ...difference, isNote: isProvenance || isDefault(difference) };
  }
}

/** Loaders treat a key that is null like a missing one. */
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
  // Only the trainer's options and its self-tests can differ now.
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
