import { basename } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { TargetFormat } from "../formats/table.js";
import type { LayoutOptions } from "../merge/merge-plan.js";
import { isQuantizedDType, type TargetDType } from "../tensor.js";
import type { ApplyDeltaOptions } from "./options.js";

/** What is made: a folder, or with a target that ends in `.gguf` one file, and its format. */
export interface TargetKind {
  readonly format: TargetFormat;
  readonly isFile: boolean;
}

const ENDING = /\.gguf$/i;

/** Errors: `bad-usage` where target, format and dtype contradict each other. */
export function targetKindOf({
  target,
  format,
  dtype = "auto",
  modelfile = null,
}: Pick<ApplyDeltaOptions, "target" | "format" | "dtype" | "modelfile">): TargetKind {
  const isFile = ENDING.test(target);
  if (isFile && format !== undefined && format !== "gguf") {
    throw new ApplyDeltaError("bad-usage", "A target that ends in .gguf is a GGUF.", {
      file: target,
      got: `--format ${format}`,
      hint: "Leave --format out, or name a folder.",
    });
  }
  const kind = { format: isFile ? "gguf" : (format ?? "safetensors"), isFile } as const;
  if (kind.format !== "gguf" && modelfile !== null) {
    throw new ApplyDeltaError("bad-usage", "A Modelfile needs a GGUF.", {
      got: `--modelfile for ${kind.format}`,
      hint: `Add --format gguf, or name a file: --target ${basename(target)}.gguf`,
    });
  }
  if (kind.format === "gguf" || dtype === "auto" || !isQuantizedDType(dtype)) return kind;
  const name = dtype.toLowerCase();
  throw new ApplyDeltaError("bad-usage", `Only a GGUF can be quantized to ${name}.`, {
    got: `--dtype ${name} for ${kind.format}`,
    hint: `Add --format gguf, or name a file: --target ${basename(target)}.gguf`,
  });
}

/** How the folder is laid out that is made, or that a GGUF is made of. */
export function folderLayout(
  { dtype, maxShardBytes, scale }: Pick<ApplyDeltaOptions, "dtype" | "maxShardBytes" | "scale">,
  { format }: TargetKind,
): LayoutOptions {
  if (format === "gguf") return { dtype: "auto", scale };
  return { dtype: dtype as LayoutOptions["dtype"], maxShardBytes, scale, format };
}

/** The model's name, as its keys have it, and the name of its file, by ggml's convention (ggml, docs/gguf.md). */
export function ggufNames(target: string, { isFile }: TargetKind) {
  const last = basename(target);
  const name = isFile ? last.replace(ENDING, "") : last;
  return { name, fileName: (dtype: TargetDType) => (isFile ? last : `${name}-${dtype}.gguf`) };
}
