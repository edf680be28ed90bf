/**
 * Changes single values of a JSON file and leaves all else as it was written, down to the spelling of a number:
 * JavaScript would write `10000.0` as `10000`, which transformers refuses in `rope_scaling`.
 */
import { isDeepStrictEqual } from "node:util";
import { applyEdits, findNodeAtLocation, type JSONPath, modify, parseTree } from "jsonc-parser";
import { z } from "zod";
import { ApplyDeltaError } from "../errors.js";
import { parseBoundedJson } from "./bounded-json.js";

/** A file as it was found; `path` is for messages. */
export interface JsonFile {
  readonly path: string;
  readonly text: string;
}

const STYLE = { formattingOptions: { insertSpaces: true, tabSize: 2 } };

/** A JSON file while it is mended. `value` always is what `text` says. */
export class JsonDraft<T> {
  readonly path: string;
  #text: string;
  #value: T;

  /** Errors: `bad-json`. */
  constructor(
    file: JsonFile,
    private readonly schema: z.ZodType<T>,
  ) {
    this.path = file.path;
    this.#text = file.text;
    this.#value = this.#parse();
  }

  get text(): string {
    return this.#text;
  }

  get value(): T {
    return this.#value;
  }

  /** Sets one value, where `undefined` removes it, and leaves everything else as it is written. */
  set(at: JSONPath, value: unknown): void {
    this.#text = withValue(this.#text, at, value);
    this.#value = this.#parse();
    // Of a key that stands twice the first was changed, and the last counts, here as in Python.
    if (!isDeepStrictEqual(valueAt(this.#value, at), value))
      throw this.#bad(`${at.join(".")} stands twice`, undefined);
  }

  #parse(): T {
    try {
      return this.schema.parse(parseBoundedJson(this.#text));
    } catch (cause) {
      throw this.#bad(cause instanceof z.ZodError ? describeIssue(cause) : String(cause), cause);
    }
  }

  #bad(got: string, cause: unknown): ApplyDeltaError {
    const name = this.path.split(/[\\/]/).at(-1);
    return new ApplyDeltaError("bad-json", `${name} isn't what a model's ${name} must be.`, {
      file: this.path,
      got,
      hint: `Download ${name} again from where the model came from.`,
      cause,
    });
  }
}

/**
 * jsonc-parser makes the place, with a null in it, and the value is written there: its formatter copies the whole text
 * for every line, which for a large value takes minutes.
 */
function withValue(text: string, at: JSONPath, value: unknown): string {
  const made = applyEdits(text, modify(text, at, value === undefined ? undefined : null, STYLE));
  if (value === undefined) return made;
  const root = parseTree(made);
  const place = root && findNodeAtLocation(root, at);
  if (place === undefined) return made;
  const written = JSON.stringify(value, null, 2).replaceAll("\n", `\n${"  ".repeat(at.length)}`);
  return made.slice(0, place.offset) + written + made.slice(place.offset + place.length);
}

function valueAt(value: unknown, path: JSONPath): unknown {
  return path.reduce<unknown>(
    (inside, key) => Object.getOwnPropertyDescriptor(Object(inside), key)?.value,
    value,
  );
}

function describeIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue === undefined ? error.message : `${issue.path.join(".") || "the file"}: ${issue.message}`;
}

/** As transformers writes JSON: two spaces, a final newline. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
