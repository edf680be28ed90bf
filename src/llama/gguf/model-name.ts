/**
 * What a model's name says: `vicuna-7b-v1.1` is of the family `vicuna`, of 7B, in version v1.1. The rules are those of
 * llama.cpp's converter (`gguf-py/gguf/metadata.py`, `get_model_id_components`), as programs that list models show
 * what it makes of names.
 */

export interface ModelName {
  /** `Vicuna 7b v1.1`; null for an empty name. */
  readonly title: string | null;
  /** Of `lmsys/vicuna-7b-v1.1`: `Lmsys`. */
  readonly organization: string | null;
  readonly basename: string | null;
  readonly finetune: string | null;
  readonly version: string | null;
  readonly sizeLabel: string | null;
}

type Meaning = "basename" | "finetune" | "version" | "size" | "type";

interface Part {
  text: string;
  readonly meanings: Set<Meaning>;
}

const VERSION = /^(?:v|iter)?\d+(?:\.\d+)*$/i;
/** How weights are stored: `Q8_0`, `bf16`. */
const STORAGE = /^(?:i?q\d(?:_\w)*|b?fp?(?:16|32))$/i;
const SIZE = /^(?:(?:A|\d+x)?\d+(?:[._]\d+)?[KMBT]\d?|small|mini|medium|large|x?xl)$/i;
const TUNING = /^(?:chat|instruct|vision|lora)$/i;

/** `parameters`: how many the model has; a size that is far from it is a length of context. */
export function readModelName(id: string, parameters: number): ModelName {
  const nothing = { organization: null, basename: null, finetune: null, version: null, sizeLabel: null };
  // A name in words.
  if (id.includes(" ")) return { ...nothing, title: titleOf(id) };
  const slash = id.indexOf("/");
  const owner = id.slice(0, Math.max(slash, 0));
  const name = id.slice(slash + 1);
  const parts = name
    .split("-")
    .filter((text) => text !== "")
    .map((text, i) => readPart(text, i > 0, parameters));
  leaveSizesInWords(parts);
  findBasename(parts);
  const joined = (isOne: (meanings: ReadonlySet<Meaning>) => boolean) =>
    parts
      .filter(({ meanings }) => isOne(meanings))
      .map(({ text }) => text)
      .join("-") || null;
  const sizes = parts.filter(({ meanings }) => meanings.has("size")).map(({ text }) => text);
  const sizeLabel = [...new Set(sizes)].join("-") || null;
  const finetune = joined((meanings) => meanings.has("finetune"));
  const version = joined((meanings) => meanings.has("version") && !meanings.has("basename"));
  const isClear = sizeLabel !== null || finetune !== null || version !== null;
  return {
    title: name === "" ? null : titleOf(name),
    organization: owner === "" || owner.startsWith(".") ? null : titleOf(owner),
    basename: isClear ? joined((meanings) => meanings.has("basename")) : null,
    finetune,
    version,
    sizeLabel,
  };
}

function readPart(text: string, isLater: boolean, parameters: number): Part {
  if (VERSION.test(text)) return { text, meanings: new Set(["version"]) };
  if (STORAGE.test(text)) return { text: text.toUpperCase(), meanings: new Set(["type"]) };
  if (isLater && SIZE.test(text)) return readSize(text, parameters);
  return { text, meanings: new Set(isLater && TUNING.test(text) ? ["finetune"] : []) };
}

function readSize(given: string, parameters: number): Part {
  // Bloom's 7b1 is 7.1B.
  const size = given.replaceAll("_", ".").replace(/^(.*)(\D)(\d)$/, "$1.$3$2");
  const [, digits, unit = ""] = /^(.*\d)([kmbt])$/i.exec(size) ?? [];
  if (digits === undefined) return { text: size, meanings: new Set(["size"]) };
  const named = Number(digits) * 1000 ** " KMBT".indexOf(unit.toUpperCase());
  if (Math.abs(named - parameters) > Math.floor((7 * parameters) / 8)) {
    return { text: `${digits}${unit.toLowerCase()}`, meanings: new Set(["finetune"]) };
  }
  return { text: `${digits}${unit.toUpperCase()}`, meanings: new Set(["size"]) };
}

/** `large` isn't a size where `7B` stands, too. */
function leaveSizesInWords(parts: readonly Part[]): void {
  const sizes = parts.filter(({ meanings }) => meanings.has("size"));
  if (!sizes.some(({ text }) => /\d/.test(text))) return;
  for (const { text, meanings } of sizes) if (/^[a-z]+$/i.test(text)) meanings.delete("size");
}

/** Words and versions from the start on, but no version at the end; what else has no meaning yet is of the tuning. */
function findBasename(parts: readonly Part[]): void {
  const end = parts.findIndex(
    ({ text, meanings }) => !meanings.has("version") && (meanings.size > 0 || !/^\p{Alphabetic}/u.test(text)),
  );
  const isAll = end < 0;
  const last = isAll ? parts.findLastIndex(({ meanings }) => meanings.size === 0) : end - 1;
  for (const { meanings } of parts.slice(0, last + 1)) meanings.add("basename");
  for (const { meanings } of parts) if (meanings.size === 0) meanings.add("finetune");
}

/** Words in capitals, unless they are versions or begin with a digit. */
function titleOf(name: string): string {
  return name
    .trim()
    .split(/[-\s]+/)
    .filter((word) => word !== "")
    .map((word) =>
      word !== word.toLowerCase() || /^(?:v\d+(?:\.\d+)*$|\d)/.test(word) ? word : capitals(word),
    )
    .join(" ");
}

const capitals = (word: string) =>
  word.replace(/\p{Alphabetic}+/gu, (letters) => (letters[0] ?? "").toUpperCase() + letters.slice(1));

const UNITS = [
  ["T", 1e12, 1e-12],
  ["B", 1e9, 1e-9],
  ["M", 1e6, 1e-6],
  ["K", 0, 1e-3],
] as const;

/** `7B`, `1.1B`, `238K`: a number of parameters with at least two digits, rounded as gguf-py does (`utility.py`). */
export function sizeLabelOf(parameters: number): string {
  const [unit, , scale] = UNITS.find(([, above]) => parameters > above) ?? UNITS[3];
  const scaled = parameters * scale;
  const rounded = roundHalfToEven(scaled);
  const wholeDigits = rounded === 0 ? 0 : String(rounded).length;
  return `${wholeDigits < 2 ? scaled.toFixed(2 - wholeDigits) : rounded}${unit}`;
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}
