/**
 * Reads JSON of a checkpoint, and refuses what `JSON.parse` lets through: a key that stands twice, an integer that a
 * double can't hold, half of a surrogate pair. `1.0`, where an integer is meant, stays a `JsonDecimal`. Objects have no
 * prototype, so that `__proto__` is a key like any other.
 */
import { type JSONVisitor, printParseErrorCode, visit } from "jsonc-parser";
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

/** Parses UTF-8 JSON in one pass. Throws `context.malformed` or `context.duplicate` with the byte offset. */
export function parseStrictJson(bytes: Uint8Array, context: StrictJsonContext): JsonValue {
  const { file, offsetBytes, hint } = context;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new ApplyDeltaError(context.malformed, "The JSON text is not valid UTF-8.", {
      file,
      offsetBytes,
      hint,
      cause,
    });
  }
  const builder = new ValueBuilder(text, (at, message, code = context.malformed) => {
    const offset = offsetBytes + Buffer.byteLength(text.slice(0, at));
    throw new ApplyDeltaError(code, message, { file, offsetBytes: offset, hint });
  });
  // The visitor stops at the first error, and before a depth at which its recursion could matter.
  visit(text, builder.visitor(context.duplicate), { disallowComments: true });
  return builder.value as JsonValue;
}

type Fail = (at: number, message: string, code?: ErrorCode) => never;

/** Makes the value of what jsonc-parser finds in a text. */
class ValueBuilder {
  value: JsonValue | undefined;
  /** The lists and objects that aren't ended yet, each with the key its next value gets. */
  readonly #open: { readonly into: JsonValue[] | JsonObject; key: string }[] = [];
  #values = 0;

  constructor(
    private readonly text: string,
    private readonly fail: Fail,
  ) {}

  visitor(duplicate: ErrorCode): JSONVisitor {
    const end = () => void this.#open.pop();
    return {
      onObjectBegin: (at) => this.#begin(Object.create(null) as JsonObject, at),
      onArrayBegin: (at) => this.#begin([], at),
      onObjectEnd: end,
      onArrayEnd: end,
      onObjectProperty: (key, at) => this.#key(key, at, duplicate),
      onLiteralValue: (value, at, length) => this.#literal(value, at, length),
      onError: (code, at) => this.#malformed(at, inWords(printParseErrorCode(code))),
    };
  }

  #malformed(at: number, what: string): never {
    return this.fail(at, `The JSON text is malformed: ${what}.`);
  }

  #begin(into: JsonValue[] | JsonObject, at: number): void {
    if (this.#open.length === MAX_DEPTH) this.#malformed(at, `nesting deeper than ${MAX_DEPTH}`);
    this.#add(into, at);
    this.#open.push({ into, key: "" });
  }

  #key(key: string, at: number, duplicate: ErrorCode): void {
    const object = this.#open.at(-1) as { into: JsonObject; key: string };
    this.#checkText(key, at);
    if (key in object.into)
      this.fail(at, `${JSON.stringify(excerpt(key))} stands twice in one object.`, duplicate);
    object.key = key;
  }

  #literal(value: string | number | boolean | null, at: number, length: number): void {
    if (typeof value === "string") this.#checkText(value, at);
    this.#add(typeof value === "number" ? this.#number(value, at, length) : value, at);
  }

  #number(value: number, at: number, length: number): number | JsonDecimal {
    const written = this.text.slice(at, at + length);
    if (/[.eE]/.test(written) || written === "-0") return new JsonDecimal(written);
    if (!Number.isSafeInteger(value)) this.#malformed(at, `the integer ${excerpt(written)} is too large`);
    return value;
  }

  #checkText(text: string, at: number): void {
    if (!text.isWellFormed()) this.#malformed(at, "half of a surrogate pair in a string");
  }

  #add(value: JsonValue, at: number): void {
    if (++this.#values > MAX_VALUES) this.#malformed(at, `more than ${MAX_VALUES} values`);
    const parent = this.#open.at(-1);
    if (parent === undefined) this.value = value;
    else if (Array.isArray(parent.into)) parent.into.push(value);
    else parent.into[parent.key] = value;
  }
}

/** `CloseBraceExpected` as "close brace expected". */
function inWords(name: string): string {
  return name.replace(/\B[A-Z]/g, (letter) => ` ${letter}`).toLowerCase();
}

function excerpt(text: string): string {
  return text.length <= MAX_EXCERPT ? text : `${text.slice(0, MAX_EXCERPT)}…`;
}
