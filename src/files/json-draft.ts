/**
 * Changes single values of a JSON file and leaves all else as it was written, down to the spelling of a number:
 * JavaScript would write `10000.0` as `10000`, which transformers refuses in `rope_scaling`.
 */
import * as z from "zod";
import { ApplyDeltaError } from "../errors.js";
import type { Pause } from "../interrupt.js";
import { parseLargePythonJson, parsePythonJson } from "./json.js";
import { appendJson, editJson, type JsonPath, TwiceError } from "./json-edit.js";

/** A file as it was found; `path` is for messages. */
export interface JsonFile {
  readonly path: string;
  readonly text: string;
}

/** A JSON file while it is mended. `value` always is what `text` says. */
export class JsonDraft<T> {
  readonly path: string;
  #text: string;
  #value: T;

  /** Of a file of up to some MB. Errors: `bad-json`. */
  constructor(file: JsonFile, schema: z.ZodType<T>, parsed?: unknown) {
    this.path = file.path;
    this.#text = file.text;
    try {
      this.#value = schema.parse(parsed ?? parsePythonJson(file.text));
    } catch (cause) {
      throw badJson(file.path, cause instanceof z.ZodError ? describeIssue(cause) : String(cause), cause);
    }
  }

  /** Of a tokenizer.json, which may have 48 MB. Errors: `bad-json`, `interrupted`. */
  static async openLarge<T>(file: JsonFile, schema: z.ZodType<T>, pause: Pause): Promise<JsonDraft<T>> {
    let parsed: unknown;
    try {
      parsed = await parseLargePythonJson(file.text, pause);
    } catch (cause) {
      if (cause instanceof ApplyDeltaError) throw cause;
      throw badJson(file.path, String(cause), cause);
    }
    const draft = new JsonDraft(file, schema, parsed);
    await pause();
    return draft;
  }

  get text(): string {
    return this.#text;
  }

  get value(): T {
    return this.#value;
  }

  /** Sets one value, where `undefined` removes it, and leaves everything else as it is written. */
  set(at: JsonPath, value: unknown): void {
    this.#edit(at, () => editJson(this.#text, at, value));
    this.#value = put(this.#value, at, value) as T;
  }

  /** Adds items to the end of a list. */
  append(at: JsonPath, items: readonly unknown[]): void {
    this.#edit(at, () => appendJson(this.#text, at, items));
    const list = at.reduce<unknown>((inside, key) => Object(inside)[key], this.#value) as unknown[];
    for (const item of items) list.push(item);
  }

  /** Of a key that stands twice the first would be changed, and the last counts. */
  #edit(at: JsonPath, edit: () => string): void {
    try {
      this.#text = edit();
    } catch (error) {
      if (!(error instanceof TwiceError)) throw error;
      throw badJson(this.path, `${at.join(".")} stands twice`, undefined);
    }
  }
}

function badJson(path: string, got: string, cause: unknown): ApplyDeltaError {
  const name = path.split(/[\\/]/).at(-1);
  return new ApplyDeltaError("bad-json", `${name} isn't what a model's ${name} must be.`, {
    file: path,
    got,
    hint: `Download ${name} again from where the model came from.`,
    cause,
  });
}

/** Puts a value into what was parsed, as `editJson` does into the text. */
function put(root: unknown, path: JsonPath, value: unknown): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const container = path.slice(0, -1).reduce<unknown>((inside, key) => Object(inside)[key], root) as object;
  if (value === undefined) Reflect.deleteProperty(container, last);
  else
    Object.defineProperty(container, last, { value, writable: true, enumerable: true, configurable: true });
  return root;
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
export function listOf<T>(item: z.ZodType<T>, most = Number.POSITIVE_INFINITY): z.ZodType<T[]> {
  return z.custom<T[]>().superRefine((value, context) => {
    if (Array.isArray(value)) refineEach(value.keys(), value.length, { value, item, most, context });
    else context.addIssue({ code: "custom", message: "expected a list" });
  });
}

/** As `z.record`, with only the first issue noted; a key named `__proto__` is a key like any other. */
export function recordOf<T>(
  item: z.ZodType<T>,
  most = Number.POSITIVE_INFINITY,
): z.ZodType<Record<string, T>> {
  return z.custom<Record<string, T>>().superRefine((value, context) => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      const keys = Object.keys(value);
      refineEach(keys, keys.length, { value, item, most, context });
    } else context.addIssue({ code: "custom", message: "expected an object" });
  });
}

interface Items {
  readonly value: object;
  readonly item: z.ZodType;
  readonly most: number;
  readonly context: z.RefinementCtx;
}

function refineEach(
  keys: Iterable<string | number>,
  count: number,
  { value, item, most, context }: Items,
): void {
  if (count > most) context.addIssue({ code: "custom", message: `more than ${most} entries` });
  for (const key of count > most ? [] : keys) {
    const issue = item.safeParse(Reflect.get(value, key)).error?.issues[0];
    if (issue === undefined) continue;
    context.addIssue({ code: "custom", message: issue.message, path: [key, ...issue.path] });
    break;
  }
}
