/** A reader of JSON that doesn't recurse, so that it can stop after any value and go on later. */

/** `tokenizer.json` nests about ten deep; stops a million `[`. */
const MAX_DEPTH = 64;

/** Keys of one object: a vocabulary has up to 262,208. A list of the keys of a million takes V8 half a second. */
const MAX_KEYS = 5 << 16;

/** Characters of a key that a message shows. */
const MAX_EXCERPT = 100;

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

export const WORDS: Readonly<Record<string, JsonValue>> = { true: true, false: false, null: null };

/** What Python's json module reads and writes beside JSON. */
export const PYTHON_WORDS: Readonly<Record<string, JsonValue>> = {
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

export class JsonError extends SyntaxError {
  constructor(
    readonly what: string,
    readonly at: number,
    readonly isDuplicate = false,
  ) {
    super(`${what}, at character ${at}`);
  }
}

/** A list or an object that isn't closed yet; `key` is that of the value which comes next. */
type Frame = { readonly list: JsonValue[] } | { readonly object: JsonObject; key: string; keys: number };

export class JsonReader {
  /** The document, once `advance` has given true. */
  root: JsonValue = null;
  /** How many were begun until now. */
  values = 0;
  #at = 0;
  #containers = 0;
  readonly #open: Frame[] = [];

  constructor(
    private readonly text: string,
    private readonly words: Readonly<Record<string, JsonValue>>,
    private readonly isStrict: boolean,
    private readonly limits: { readonly values: number; readonly containers: number },
  ) {}

  /** Reads that many more values; true where the document has come to its end. */
  advance(count: number): boolean {
    for (let left = count; left > 0; left--) {
      this.#skipSpace();
      if (++this.values > this.limits.values) throw this.#error(`more than ${this.limits.values} values`);
      const first = this.text[this.#at];
      const value =
        first === "{" || first === "["
          ? this.#openContainer(first)
          : first === '"'
            ? this.#string()
            : this.#scalar();
      if (value !== undefined && this.#complete(value)) return true;
    }
    return false;
  }

  /** The container where it is empty. */
  #openContainer(first: "{" | "["): JsonValue | undefined {
    if (this.#open.length === MAX_DEPTH) throw this.#error(`nested deeper than ${MAX_DEPTH}`);
    if (++this.#containers > this.limits.containers) {
      throw this.#error(`more than ${this.limits.containers} lists and objects`);
    }
    this.#at++;
    if (first === "[") {
      const list: JsonValue[] = [];
      if (this.#take("]")) return list;
      this.#open.push({ list });
      return undefined;
    }
    const object: JsonObject = {};
    if (this.#take("}")) return object;
    this.#open.push({ object, key: this.#key(object), keys: 1 });
    return undefined;
  }

  /** Puts a value in its place, and closes what ends with it; true where that was the document. */
  #complete(value: JsonValue): boolean {
    for (let done = value; ; ) {
      const frame = this.#open.at(-1);
      if (frame === undefined) {
        this.root = done;
        this.#skipSpace();
        if (this.#at < this.text.length) throw this.#error("end of file expected");
        return true;
      }
      if ("list" in frame) {
        frame.list.push(done);
        if (this.#take(",")) return false;
        this.#expect("]", "comma or close bracket");
        done = frame.list;
      } else {
        setOwn(frame.object, frame.key, done);
        if (this.#take(",")) {
          if (++frame.keys > MAX_KEYS) throw this.#error(`more than ${MAX_KEYS} keys in one object`);
          frame.key = this.#key(frame.object);
          return false;
        }
        this.#expect("}", "comma or close brace");
        done = frame.object;
      }
      this.#open.pop();
    }
  }

  #key(object: JsonObject): string {
    this.#skipSpace();
    const at = this.#at;
    if (this.text[at] !== '"') throw this.#error("property name expected");
    const key = this.#string();
    if (this.isStrict && Object.hasOwn(object, key)) {
      throw new JsonError(`${JSON.stringify(excerpt(key))} stands twice in one object`, at, true);
    }
    this.#expect(":", "colon");
    return key;
  }

  #string(): string {
    const start = this.#at;
    const end = endOfString(this.text, start);
    if (end === -1) throw this.#error("a string has no end");
    this.#at = end;
    let value: string;
    try {
      value = JSON.parse(this.text.slice(start, end)) as string;
    } catch {
      throw new JsonError("a string holds a control character or an unknown escape", start);
    }
    if (this.isStrict && !value.isWellFormed()) {
      throw new JsonError("half of a surrogate pair in a string", start);
    }
    return value;
  }

  #scalar(): JsonValue {
    const start = this.#at;
    NUMBER.lastIndex = start;
    // Python's words come first: `-Infinity` begins like a number.
    const word = wordAt(this.text, start, this.words);
    const written = word ?? NUMBER.exec(this.text)?.[0];
    if (written === undefined) throw this.#error("value expected");
    this.#at += written.length;
    if (word !== undefined) return this.words[word] as JsonValue;
    const value = Number(written);
    const isCount = Number.isSafeInteger(value) && /^(?:0|-?[1-9]\d*)$/.test(written);
    return isCount || !this.isStrict ? value : new JsonDecimal(written);
  }

  #skipSpace(): void {
    this.#at = endOfSpace(this.text, this.#at);
  }

  #take(char: string): boolean {
    this.#skipSpace();
    if (this.text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #expect(char: string, name: string): void {
    if (!this.#take(char)) throw this.#error(`${name} expected`);
  }

  #error(what: string): JsonError {
    return new JsonError(what, this.#at);
  }
}

/** Where JSON's space ends that begins at an index. */
export function endOfSpace(text: string, start: number): number {
  let at = start;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at;
    at++;
  }
}

/** The index behind the string that begins at an index, or -1 where it has no end. */
export function endOfString(text: string, start: number): number {
  for (let end = start; ; ) {
    end = text.indexOf('"', end + 1);
    if (end === -1) return -1;
    let first = end;
    while (text[first - 1] === "\\") first--;
    // An odd number of backslashes escapes the quote.
    if ((end - first) % 2 === 0) return end + 1;
  }
}

/** The word that stands at an index. */
function wordAt(text: string, start: number, words: Readonly<Record<string, JsonValue>>): string | undefined {
  const code = text.charCodeAt(start);
  // Digits are what there is most of.
  if (code >= 0x30 && code <= 0x39) return undefined;
  return Object.keys(words).find((word) => text.startsWith(word, start));
}

/** Where the key is `__proto__`, assigning would set the object's prototype. */
function setOwn(object: JsonObject, key: string, value: JsonValue): void {
  if (key !== "__proto__") object[key] = value;
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

function excerpt(text: string): string {
  return text.length <= MAX_EXCERPT ? text : `${text.slice(0, MAX_EXCERPT)}…`;
}
