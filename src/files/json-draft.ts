/**
 * Changes single values of a JSON file and leaves all else as it was written, down to the spelling of a number:
 * JavaScript would write `10000.0` as `10000`, which transformers refuses in `rope_scaling`.
 */
import { isDeepStrictEqual } from "node:util";
import { applyEdits, findNodeAtLocation, type JSONPath, modify, parseTree } from "jsonc-parser";
import { z } from "zod";
import { ApplyDeltaError } from "../errors.js";
import { maskPythonWords, parsePythonJson } from "./json.js";

/** A file as it was found; `path` is for messages. */
export interface JsonFile {
  readonly path: string;
  readonly text: string;
}

const MAX_FORMATTED_LINE = 4096;

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
      return this.schema.parse(parsePythonJson(this.#text));
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
  // The formatter lays out the whole line it changes, in a time that grows with the square of its length.
  const style = text.split("\n").some(({ length }) => length > MAX_FORMATTED_LINE) ? {} : STYLE;
  const edits = modify(maskPythonWords(text), at, value === undefined ? undefined : null, style);
  const made = applyEdits(text, edits);
  if (value === undefined) return made;
  const root = parseTree(maskPythonWords(made));
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

/** As `z.array`, which notes an issue for every wrong item, with only the first one noted. */
export function listOf<T>(item: z.ZodType<T>): z.ZodType<T[]> {
  return z.custom<T[]>().superRefine((value, context) => {
    if (Array.isArray(value)) refineEach(value.entries(), item, context);
    else context.addIssue({ code: "custom", message: "expected a list" });
  });
}

/** As `z.record`, with only the first issue noted; a key named `__proto__` is a key like any other. */
export function recordOf<T>(item: z.ZodType<T>): z.ZodType<Record<string, T>> {
  return z.custom<Record<string, T>>().superRefine((value, context) => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      refineEach(Object.entries(value), item, context);
    } else context.addIssue({ code: "custom", message: "expected an object" });
  });
}

function refineEach(
  entries: Iterable<[string | number, unknown]>,
  item: z.ZodType,
  context: z.RefinementCtx,
): void {
  for (const [key, value] of entries) {
    const issue = item.safeParse(value).error?.issues[0];
    if (issue === undefined) continue;
    context.addIssue({ code: "custom", message: issue.message, path: [key, ...issue.path] });
    return;
  }
}
