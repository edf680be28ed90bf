/**
 * In: the text of one JSON file of a model folder. Out: its checked value, and the text with single changes.
 * Guards: whatever isn't changed stays as it was written, down to the spelling of a number: JavaScript would
 * write `10000.0` as `10000`, which transformers refuses in `rope_scaling`.
 */
import { applyEdits, type JSONPath, modify } from "jsonc-parser";
import { z } from "zod";
import { ApplyDeltaError } from "../errors.js";

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
    this.#text = applyEdits(this.#text, modify(this.#text, at, value, STYLE));
    this.#value = this.#parse();
  }

  #parse(): T {
    try {
      return this.schema.parse(JSON.parse(this.#text));
    } catch (cause) {
      const name = this.path.split(/[\\/]/).at(-1);
      throw new ApplyDeltaError("bad-json", `${name} isn't what a model's ${name} must be.`, {
        file: this.path,
        got: cause instanceof z.ZodError ? describeIssue(cause) : String(cause),
        hint: `Download ${name} again from where the model came from.`,
        cause,
      });
    }
  }
}

function describeIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue === undefined ? error.message : `${issue.path.join(".") || "the file"}: ${issue.message}`;
}

/** As transformers writes JSON: two spaces, a final newline. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
