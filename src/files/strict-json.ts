/**
 * In: JSON text from a checkpoint. Out: its value, with objects that have no prototype.
 * Guards what `JSON.parse` lets through: a key that stands twice, an integer that a double can't hold,
 * `1.0` where an integer is meant (it stays a `JsonDecimal`), nesting without end, `__proto__` as a name.
 */
import { ApplyDeltaError, type ErrorCode } from "../errors.js";

/** Nesting deeper than any real header or index; stops a file of a million `[`. */
const MAX_DEPTH = 16;

/**
 * Stops 30 million `{}` in a header of 100 MB, which take gigabytes. An entry of a safetensors header has about eight
 * values, one of an index has one.
 */
const MAX_VALUES = 1 << 19;

/** Characters of a key or a number that a message shows. */
const MAX_EXCERPT = 100;

/** A number with a fraction or an exponent, or `-0`: never a count. Kept as it was written. */
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
  /** The error code for a key that stands twice in one object. */
  duplicate: ErrorCode;
  hint: string;
}

/** Parses UTF-8 JSON. Throws `context.malformed` or `context.duplicate` with the byte offset. */
export function parseStrictJson(bytes: Uint8Array, context: StrictJsonContext): JsonValue {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new ApplyDeltaError(context.malformed, "The JSON text is not valid UTF-8.", {
      file: context.file,
      offsetBytes: context.offsetBytes,
      hint: context.hint,
      cause,
    });
  }
  const parser = new Parser(text, context);
  const value = parser.value(0);
  parser.end();
  return value;
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const WHITESPACE = /[ \t\n\r]*/y;
class Parser {
  #at = 0;
  #values = 0;

  constructor(
    readonly text: string,
    readonly context: StrictJsonContext,
  ) {}

  value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) this.fail(`nesting deeper than ${MAX_DEPTH}`);
    if (++this.#values > MAX_VALUES) this.fail(`more than ${MAX_VALUES} values`);
    this.#skip();
    const char = this.text[this.#at];
    if (char === "{") return this.#object(depth);
    if (char === "[") return this.#array(depth);
    if (char === '"') return this.#string();
    for (const [word, value] of [
      ["true", true],
      ["false", false],
      ["null", null],
    ] as const) {
      if (this.text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#number();
  }

  end(): void {
    this.#skip();
    if (this.#at < this.text.length) this.fail("text after the end of the JSON value");
  }

  fail(what: string): never {
    throw new ApplyDeltaError(this.context.malformed, `The JSON text is malformed: ${what}.`, {
      file: this.context.file,
      offsetBytes: this.#byteOffset(),
      hint: this.context.hint,
    });
  }

  #byteOffset(): number {
    return this.context.offsetBytes + Buffer.byteLength(this.text.slice(0, this.#at));
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = Object.create(null);
    this.#at++;
    if (this.#take("}")) return object;
    do {
      this.#skip();
      if (this.text[this.#at] !== '"') this.fail("a key in double quotes is missing");
      const keyAt = this.#at;
      const key = this.#string();
      if (key in object) {
        this.#at = keyAt;
        throw new ApplyDeltaError(
          this.context.duplicate,
          `${JSON.stringify(excerpt(key))} stands twice in one object.`,
          {
            file: this.context.file,
            offsetBytes: this.#byteOffset(),
            hint: this.context.hint,
          },
        );
      }
      if (!this.#take(":")) this.fail("a colon is missing after a key");
      object[key] = this.value(depth + 1);
    } while (this.#take(","));
    if (!this.#take("}")) this.fail("a comma or a closing brace is missing");
    return object;
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = [];
    this.#at++;
    if (this.#take("]")) return array;
    do array.push(this.value(depth + 1));
    while (this.#take(","));
    if (!this.#take("]")) this.fail("a comma or a closing bracket is missing");
    return array;
  }

  #string(): string {
    const end = this.#stringEnd();
    const raw = this.text.slice(this.#at, end);
    let value: string;
    try {
      value = JSON.parse(raw) as string;
    } catch {
      this.fail("an unknown escape in a string");
    }
    if (!value.isWellFormed()) this.fail("half of a surrogate pair in a string");
    this.#at = end;
    return value;
  }

  /** Index after the closing quote. A loop, not a regular expression: a string may be as long as the header. */
  #stringEnd(): number {
    let at = this.#at + 1;
    for (;;) {
      const char = this.text.charCodeAt(at);
      if (char === 0x22 /* " */) return at + 1;
      if (Number.isNaN(char)) this.fail("a string does not end");
      if (char < 0x20) this.fail("a bare control character in a string");
      at += char === 0x5c /* \\ */ ? 2 : 1;
    }
  }

  #number(): number | JsonDecimal {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.text);
    if (match === null)
      this.fail(this.#at < this.text.length ? "an unexpected character" : "it ends too early");
    const isInteger = match[1] === undefined && match[2] === undefined && match[0] !== "-0";
    const value = Number(match[0]);
    if (isInteger && !Number.isSafeInteger(value)) this.fail(`the integer ${excerpt(match[0])} is too large`);
    this.#at += match[0].length;
    return isInteger ? value : new JsonDecimal(match[0]);
  }

  #take(char: string): boolean {
    this.#skip();
    if (this.text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #skip(): void {
    WHITESPACE.lastIndex = this.#at;
    WHITESPACE.exec(this.text);
    this.#at = WHITESPACE.lastIndex;
  }
}

function excerpt(text: string): string {
  return text.length <= MAX_EXCERPT ? text : `${text.slice(0, MAX_EXCERPT)}…`;
}
