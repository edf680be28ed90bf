/**
 * In: a model reference from the command line. Out: an existing local path.
 * Guards: a reference that is no path is told what it was taken for.
 */
import { statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { sourceError } from "../checkpoint/local-file.js";
import { ApplyDeltaError, errnoOf } from "../errors.js";

/** `owner/name` as the Hub spells repositories. */
const HUB_NAME = /^(?:hf:\/\/)?[A-Za-z0-9][\w.-]*\/[\w.-]+(?:@[\w./-]+)?$/;

/** Errors: `source-not-found`, `source-unreadable`. */
export function resolveModel(reference: string, role: "base" | "delta" | "model"): string {
  // A shell expands `~` in `--base ~/llama` but not in `--base=~/llama`.
  const path = reference.startsWith("~/") ? join(homedir(), reference.slice(2)) : reference;
  if (exists(path)) return path;
  if (HUB_NAME.test(reference)) {
    const name = reference.replace(/^hf:\/\//, "").replace(/@.*$/, "");
    throw new ApplyDeltaError(
      "source-not-found",
      `The ${role} ${JSON.stringify(reference)} isn't a local path.`,
      {
        file: reference,
        hint: `Check the path for a typo. If you mean the model on the Hugging Face Hub, download it first: huggingface-cli download ${name} --local-dir ${name.split("/")[1]}`,
      },
    );
  }
  throw new ApplyDeltaError(
    "source-not-found",
    `The ${role} doesn't exist: there is neither a folder nor a file of that name.`,
    {
      file: reference,
      hint: "Check the path for a typo; it should be a model's folder or its weights file.",
    },
  );
}

function exists(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) return false;
    throw sourceError(error, path);
  }
}
