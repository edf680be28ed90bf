/**
 * Reads a checkpoint's JSON as its reference reader does, within limits that a crafted file can't pass. `JSON.parse`
 * has no limits, and lets through what Rust refuses; jsonc-parser's scanner appends space and escapes character by
 * character, so that 100 MB of them take gigabytes.
 */
import { ApplyDeltaError, type ErrorCode } from "../errors.js";

/** `tokenizer.json` nests about ten deep; stops a million `[`, on which a recursive reader would end. */
const MAX_DEPTH = 64;

/**
 * Stops 30 million `{}` in a header of 100 MB, which take gigabytes. An entry of a safetensors header has about eight
 * values, one of an index has one; the largest tokenizer.json has some 2.5 million.
 */
const MAX_VALUES = { checkpoint: 1 << 19, folder: 1 << 22 };

/** Stops 4 million `{}`, which take 56 bytes each; the merges of the largest tokenizer.json are half a million lists. */
const MAX_CONTAINERS = 1 << 20;

/** Characters of a key that a message shows. */
const MAX_EXCERPT = 100;

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

const WORDS: Readonly<Record<string, JsonValue>> = { true: true, false: false, null: null };

/** What Python's json module reads and writes beside JSON. */
const PYTHON_WORDS: Readonly<Record<string, JsonValue>> = {
  ...WORDS,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

/** A number with a fraction or an exponent, `-0`, or an integer beyond 2^53: never a count. Kept as it was written. */
export class JsonDecimal {
  constructor(readonly text: string) {}

  toJSON(): string {
    return this.text;
  }
}

export type JsonValue = null | boolean | number | string | JsonDecimal | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof JsonDecimal)
  );
}

export interface StrictJsonContext {
  file: string;
  /** Where the text starts in the file, in bytes. */
  offsetBytes: number;
  /** The error code for malformed text. */
  malformed: ErrorCode;
  /** Whether Python's words for numbers are read, too. */
  isPython?: boolean;
  hint?: string;
}

/**
 * Parses UTF-8 JSON strictly, as Rust's serde_json does: no key stands twice in an object, no string holds half of a
 * surrogate pair. Errors: `context.malformed` and `duplicate-tensor`, with the byte offset.
 */
export function parseStrictJson(bytes: Uint8Array, context: StrictJsonContext): JsonValue {
  const { malformed, offsetBytes, isPython = false, ...details } = context;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const message = "The JSON text is not valid UTF-8.";
    throw new ApplyDeltaError(malformed, message, { ...details, offsetBytes, cause });
  }
  try {
    return new JsonReader(text, isPython ? PYTHON_WORDS : WORDS, true, MAX_VALUES.checkpoint).read();
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const [code, message]: [ErrorCode, string] = error.isDuplicate
      ? ["duplicate-tensor", `${error.what}.`]
      : [malformed, `The JSON text is malformed: ${error.what}.`];
    const at = offsetBytes + Buffer.byteLength(text.slice(0, error.at));
    throw new ApplyDeltaError(code, message, { ...details, offsetBytes: at });
  }
}

/** As Python's `json.loads`, with `NaN` and `Infinity`; of a key that stands twice the last counts. Throws a `JsonError`. */
export function parsePythonJson(text: string): unknown {
  return new JsonReader(text, PYTHON_WORDS, false, MAX_VALUES.folder).read();
}

/** Puts JSON of the same length in the place of Python's words for numbers. */
export function maskPythonWords(text: string): string {
  if (!/NaN|Infinity/.test(text)) return text;
  return text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|NaN|-?Infinity/g, (found) =>
    found.startsWith('"') ? found : "1".repeat(found.length),
  );
}

class JsonError extends SyntaxError {
  constructor(
    readonly what: string,
    readonly at: number,
    readonly isDuplicate = false,
  ) {
    super(`${what}, at character ${at}`);
  }
}

class JsonReader {
  #at = 0;
  #values = 0;
  #containers = 0;

  constructor(
    private readonly text: string,
    private readonly words: Readonly<Record<string, JsonValue>>,
    private readonly isStrict: boolean,
    private readonly maxValues: number,
  ) {}

  read(): JsonValue {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.text.length) throw new JsonError("end of file expected", this.#at);
    return value;
  }

  #value(depth: number): JsonValue {
    this.#skipSpace();
    if (++this.#values > this.maxValues) throw new JsonError(`more than ${this.maxValues} values`, this.#at);
    const first = this.text[this.#at];
    if (first === '"') return this.#string();
    if (first !== "{" && first !== "[") return this.#scalar();
    if (depth === MAX_DEPTH) throw new JsonError(`nested deeper than ${MAX_DEPTH}`, this.#at);
    if (++this.#containers > MAX_CONTAINERS) {
      throw new JsonError(`more than ${MAX_CONTAINERS} lists and objects`, this.#at);
    }
    this.#at++;
    return first === "{" ? this.#object(depth + 1) : this.#list(depth + 1);
  }

  #list(depth: number): JsonValue[] {
    const list: JsonValue[] = [];
    if (this.#take("]")) return list;
    do {
      list.push(this.#value(depth));
    } while (this.#take(","));
    this.#expect("]", "comma or close bracket");
    return list;
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = {};
    if (this.#take("}")) return object;
    do {
      this.#skipSpace();
      const at = this.#at;
      if (this.text[at] !== '"') throw new JsonError("property name expected", at);
      const key = this.#string();
      if (this.isStrict && Object.hasOwn(object, key)) {
        throw new JsonError(`${JSON.stringify(excerpt(key))} stands twice in one object`, at, true);
      }
      this.#expect(":", "colon");
      setOwn(object, key, this.#value(depth));
    } while (this.#take(","));
    this.#expect("}", "comma or close brace");
    return object;
  }

  #string(): string {
    const start = this.#at;
    let end = start;
    do {
      end = this.text.indexOf('"', end + 1);
      if (end === -1) throw new JsonError("a string has no end", start);
    } while (this.#isEscaped(end));
    this.#at = end + 1;
    const written = this.text.slice(start, end + 1);
    let value: string;
    try {
      value = JSON.parse(written) as string;
    } catch {
      throw new JsonError("a string holds a control character or an unknown escape", start);
    }
    if (this.isStrict && !value.isWellFormed()) {
      throw new JsonError("half of a surrogate pair in a string", start);
    }
    return value;
  }

  /** Whether an odd number of backslashes stands before an index. */
  #isEscaped(index: number): boolean {
    let first = index;
    while (this.text[first - 1] === "\\") first--;
    return (index - first) % 2 === 1;
  }

  #scalar(): JsonValue {
    const start = this.#at;
    const word = Object.keys(this.words).find((candidate) => this.text.startsWith(candidate, start));
    NUMBER.lastIndex = start;
    const written = word ?? NUMBER.exec(this.text)?.[0];
    if (written === undefined) throw new JsonError("value expected", start);
    this.#at += written.length;
    if (word !== undefined) return this.words[word] as JsonValue;
    const value = Number(written);
    const isCount = Number.isSafeInteger(value) && /^(?:0|-?[1-9]\d*)$/.test(written);
    return isCount || !this.isStrict ? value : new JsonDecimal(written);
  }

  #skipSpace(): void {
    while (" \t\n\r".includes(this.text[this.#at] ?? "x")) this.#at++;
  }

  #take(char: string): boolean {
    this.#skipSpace();
    if (this.text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #expect(char: string, name: string): void {
    if (!this.#take(char)) throw new JsonError(`${name} expected`, this.#at);
  }
}

/** Where the key is `__proto__`, assigning would set the object's prototype. */
function setOwn(object: JsonObject, key: string, value: JsonValue): void {
  if (key !== "__proto__") object[key] = value;
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

function excerpt(text: string): string {
  return text.length <= MAX_EXCERPT ? text : `${text.slice(0, MAX_EXCERPT)}…`;
}
