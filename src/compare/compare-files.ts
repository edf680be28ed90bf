/** How config and tokenizer of two models differ. A difference that is known to change nothing is only a note. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { JsonDraft } from "../files/json-draft.js";
import { readAssetBytes, readAssetText } from "../files/small-file.js";
import type { Checkpoint } from "../formats/open.js";
import { noPause, type Pause } from "../interrupt.js";
import { ASSET_NAMES, TOKENIZER_MODEL, VOCABULARY_FILES } from "../llama/file-names.js";
import { readSentencePiece, type SentencePieceModel, SPECIAL_ROLES } from "../llama/sentencepiece.js";
import type { FileComparison, FileKey } from "./documents.js";

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

/**
 * Files that neither side has are left out, and where a side's weights come without a config.json of their own, files
 * that only one side has. Errors: `bad-json`, `tokenizer-malformed`, those of reading.
 */
export async function compareFiles(a: Side, b: Side, pause: Pause = noPause): Promise<FileComparison[]> {
  const isOriginal = a.config !== null || b.config !== null;
  const present = ASSET_NAMES.map((file) => {
    const paths = { a: join(a.folder, file), b: join(b.folder, file) };
    return { file, paths, inA: existsSync(paths.a), inB: existsSync(paths.b) };
  }).filter(({ inA, inB }) => (isOriginal ? inA && inB : inA || inB));
  // Two forms of one vocabulary: if both sides have the one, the other may be missing.
  const sharesVocabulary = present.some(
    ({ file, inA, inB }) => VOCABULARY_FILES.includes(file) && inA && inB,
  );
  const compared: FileComparison[] = [];
  for (const { file, paths, inA, inB } of present) {
    const isDifferent = !(sharesVocabulary && VOCABULARY_FILES.includes(file));
    const alone = { file, isDifferent, onlyIn: inA ? "a" : "b", differences: 0, notes: 0, keys: [] } as const;
    compared.push(inA && inB ? await compareFile(file, paths, pause) : { ...alone, keys: [] });
  }
  return compared;
}

type Side = Pick<Checkpoint, "folder" | "config">;

type Sides = Readonly<Record<"a" | "b", string>>;

/** Places looked at between two pauses. */
const SLICE_PLACES = 1 << 12;

async function compareFile(file: string, paths: Sides, pause: Pause): Promise<FileComparison> {
  const keys: FileKey[] = [];
  let differences = 0;
  let notes = 0;
  let places = 0;
  for (const key of await differencesOf(file, paths, pause)) {
    if (++places % SLICE_PLACES === 0) await pause();
    if (key === null) continue;
    if (key.isNote) notes++;
    else differences++;
    if (keys.length < MAX_KEYS) keys.push({ ...key, ...shorten(key) });
  }
  return { file, isDifferent: differences > 0, onlyIn: null, differences, notes, keys };
}

/** Null for a place where both are equal: two vocabularies may be, in every token but one. */
async function differencesOf(file: string, paths: Sides, pause: Pause): Promise<Iterable<FileKey | null>> {
  if (file === TOKENIZER_MODEL) return modelKeys(paths, pause);
  if (!file.endsWith(".json")) return textKeys(paths);
  const [a, b] = [readAssetText(paths.a), readAssetText(paths.b)];
  if (a.text === b.text) return [];
  const parse = async (side: typeof a) => (await JsonDraft.openLarge(side, z.unknown(), pause)).value;
  return jsonKeys(file, await parse(a), await parse(b));
}

function* jsonKeys(file: string, a: unknown, b: unknown): Generator<FileKey | null> {
  const isConfig = file.endsWith("config.json");
  for (const found of jsonDifferences(a, b)) {
    if (found === null) {
      yield null;
      continue;
    }
    const { key, ...difference } = found;
    const isProvenance = isConfig && key !== null && PROVENANCE.has(key);
    // Loaders treat a key that is null like a missing one.
    const isDefault = (difference.a ?? "null") === (difference.b ?? "null");
    yield { ...difference, isNote: isProvenance || isDefault };
  }
}

interface JsonDifference extends Omit<FileKey, "isNote"> {
  /** The last key on the way; null for an item of a list, and for the whole. */
  readonly key: string | null;
}

/**
 * Where two JSON values differ. Numbers are compared as values, `1.0` is `1`; the order of keys doesn't count. Null for
 * equal ones. The reader has bounded the nesting.
 */
function* jsonDifferences(
  a: unknown,
  b: unknown,
  at = "",
  key: string | null = null,
): Generator<JsonDifference | null> {
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.max(a.length, b.length); i++) yield* jsonDifferences(a[i], b[i], `${at}[${i}]`);
  } else if (isObject(a) && isObject(b)) {
    for (const name of Object.keys(a))
      yield* jsonDifferences(ownValue(a, name), ownValue(b, name), step(at, name), name);
    for (const name of Object.keys(b))
      if (!Object.hasOwn(a, name)) yield* jsonDifferences(undefined, ownValue(b, name), step(at, name), name);
  } else {
    const textOf = (value: unknown) => (value === undefined ? null : JSON.stringify(value));
    const [left, right] = [textOf(a), textOf(b)];
    yield left === right ? null : { at, key, a: left, b: right };
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `__proto__` and `constructor` are keys like any other. */
function ownValue(object: object, name: string): unknown {
  return Object.hasOwn(object, name) ? Reflect.get(object, name) : undefined;
}

function step(at: string, name: string): string {
  const shown = name.length <= MAX_VALUE ? name : `${name.slice(0, MAX_VALUE)}…`;
  if (!/^[\w-]+$/.test(shown)) return `${at}[${JSON.stringify(shown)}]`;
  return at === "" ? shown : `${at}.${shown}`;
}

async function modelKeys(paths: Sides, pause: Pause): Promise<Iterable<FileKey | null>> {
  const [a, b] = [readAssetBytes(paths.a), readAssetBytes(paths.b)];
  if (a.equals(b)) return [];
  const read = async (bytes: Buffer, path: string) => ({
    ...(await readSentencePiece(bytes, path, pause)),
    byteLength: bytes.length,
  });
  return modelDifferences(await read(a, paths.a), await read(b, paths.b));
}

type Model = SentencePieceModel & { readonly byteLength: number };

function* modelDifferences(a: Model, b: Model): Generator<FileKey | null> {
  const pieceOf = ({ pieces, scores, types }: Model, id: number) =>
    id < pieces.length ? `${JSON.stringify(pieces[id])} score ${scores[id]} type ${types[id]}` : null;
  let isEqual = true;
  const differ = function* (at: string, left: string | null, right: string | null) {
    isEqual &&= left === right;
    yield left === right ? null : { at, a: left, b: right, isNote: false };
  };
  for (let id = 0; id < Math.max(a.pieces.length, b.pieces.length); id++)
    yield* differ(`piece ${id}`, pieceOf(a, id), pieceOf(b, id));
  for (const role of SPECIAL_ROLES)
    yield* differ(`${role} id`, String(a.special[role]?.id ?? null), String(b.special[role]?.id ?? null));
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  for (const spec of ["normalizer", "denormalizer"] as const) yield* differ(spec, hex(a[spec]), hex(b[spec]));
  // Only the trainer's options and its self-tests can differ now.
  const lengths = { a: `${a.byteLength} bytes`, b: `${b.byteLength} bytes` };
  if (isEqual) yield { at: "settings of its training", ...lengths, isNote: true };
}

function* textKeys(paths: Sides): Generator<FileKey> {
  const [a, b] = [readAssetText(paths.a).text, readAssetText(paths.b).text];
  if (a !== b) yield { at: "text", a: JSON.stringify(a), b: JSON.stringify(b), isNote: false };
}

export function shorten({ a, b }: Pick<FileKey, "a" | "b">): Pick<FileKey, "a" | "b"> {
  let common = 0;
  while (common < (a?.length ?? 0) && a?.[common] === b?.[common]) common++;
  const cut = (text: string | null) => {
    if (text === null || text.length <= MAX_VALUE) return text;
    const from = Math.max(0, Math.min(common - VALUE_LEAD, text.length - MAX_VALUE));
    const piece = text.slice(from, from + MAX_VALUE);
    return `${from > 0 ? "…" : ""}${piece}${from + MAX_VALUE < text.length ? "…" : ""}`;
  };
  return { a: cut(a), b: cut(b) };
}
