/** Checkpoints in parts: which files of a folder they are, and in which folder of several. */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { onSource, sourceExists } from "../files/local-file.js";
import type { TensorView } from "../tensor.js";
import type { SplitFormat } from "./format.js";
import { SPLIT_FORMATS } from "./table.js";

const FORMATS = Object.values(SPLIT_FORMATS);

/** The folders of a repository that are looked into where its top folder holds no weights. */
export const HUB_FOLDERS: readonly string[] = FORMATS.map(({ hubFolder }) => hubFolder);

/** The parts among a folder's names, in order; null where there is none. Errors: `shard-missing`. */
export function chooseParts(names: readonly string[], folder: string): string[] | null {
  const format = FORMATS.find(({ partNumber }) => names.some((name) => partNumber(name) !== null));
  if (format === undefined) return null;
  const numbers = names.map(format.partNumber).filter((number) => number !== null);
  const count = Math.max(...numbers) + 1;
  const missing = Array.from({ length: count }, (_, number) => number).find(
    (number) => !numbers.includes(number),
  );
  if (missing === undefined) return Array.from({ length: count }, (_, number) => format.partName(number));
  throw new ApplyDeltaError("shard-missing", `${format.partName(missing)} is missing.`, {
    file: join(folder, format.partName(missing)),
    expected: `${count} files or more`,
    got: numbers.length,
    hint: "The download did not finish: fetch the missing files.",
  });
}

/** The list of checksums that lies beside a part, or null. */
export function checklistBeside(part: string): string | null {
  const format = splitFormatOf(part);
  const path = format === null ? null : join(dirname(part), format.checklist);
  return path !== null && sourceExists(path) ? path : null;
}

/** What to do with it about a file that looks damaged. */
export function describeChecklist(checklist: string): string {
  return `\`md5sum -c ${basename(checklist)}\` in ${dirname(checklist)} names the files that are.`;
}

/** The error for weights that are stored as only whole models are, where a delta was asked for. */
export function notADelta(file: string, got: string): ApplyDeltaError {
  return new ApplyDeltaError("not-a-delta", "The delta is a whole model.", {
    file,
    expected: "a delta, as transformers stores it",
    got,
    hint: "Give this one as --base, and as --delta what was released to be added to it.",
  });
}

/** The format that a file is a part of by its name, or null. */
export function splitFormatOf(path: string): SplitFormat | null {
  return FORMATS.find(({ partNumber }) => partNumber(basename(path)) !== null) ?? null;
}

/**
 * The one folder inside `path` that holds parts, with a line for the user; of several the one whose model has the shapes
 * of `like`. Null where that can't be told.
 */
export async function findInnerParts(path: string, like: (() => Promise<readonly TensorView[]>) | null) {
  if (!onSource(path, () => statSync(path)).isDirectory()) return null;
  const inner = onSource(path, () => readdirSync(path))
    .sort()
    .flatMap((name) => {
      const format = formatInside(join(path, name));
      return format === null ? [] : [{ name, format }];
    });
  if (inner.length === 1) {
    const [{ name, format }] = inner as [(typeof inner)[0]];
    return { path: join(path, name), note: `${path}: ${format.title} weights in ${name} were read.` };
  }
  if (inner.length === 0 || like === null) return null;
  const tensors = await like();
  const fitting = inner.filter(({ name, format }) => fits(format, join(path, name), tensors));
  const [only, ...others] = fitting;
  if (only === undefined || others.length > 0) return null;
  const names = inner.map(({ name }) => name).join(", ");
  return {
    path: join(path, only.name),
    note: `${path} holds ${names}; ${only.name} was read, which has the width and the layers of the other model.`,
  };
}

/** One without what tells its shapes can be named by the user. */
function fits(format: SplitFormat, folder: string, tensors: readonly TensorView[]): boolean {
  try {
    return format.fits(folder, tensors);
  } catch (error) {
    if (isApplyDeltaError(error)) return false;
    throw error;
  }
}

/** The format of the parts in a folder; null where there are none, and for what can't be looked into. */
function formatInside(folder: string): SplitFormat | null {
  try {
    return (
      readdirSync(folder)
        .map(splitFormatOf)
        .find((format) => format !== null) ?? null
    );
  } catch {
    return null;
  }
}
