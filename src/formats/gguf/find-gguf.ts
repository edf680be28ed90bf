import { join } from "node:path";
import { ApplyDeltaError } from "../../errors.js";
import { firstFew } from "../../units.js";

const PART = /^(.*)-\d{5}-of-(\d{5})\.gguf$/;

/** Files of the same ending that no language model is in: a projector of images, an importance matrix. */
const NO_MODEL = /^(?:\.|mmproj|imatrix)/;

export function isGgufName(name: string): boolean {
  return name.endsWith(".gguf") && !NO_MODEL.test(name);
}

/** The name without its ending, and without the number of a part; null for another file. */
export function ggufStem(name: string): string | null {
  return /^(.*?)(?:-\d{5}-of-\d{5})?\.gguf$/i.exec(name)?.[1] ?? null;
}

/** The name of the model that a file of this name is a part of; of one that isn't a part, its own. */
export function wholeGgufName(name: string): string {
  return name.replace(/-\d{5}-of-\d{5}(?=\.gguf$)/, "");
}

/** The names of all files of the model that a file of this name is of: itself, or as llama.cpp names parts. */
export function ggufParts(name: string): string[] {
  const [, stem, count] = PART.exec(name) ?? [];
  if (stem === undefined || count === undefined) return [name];
  const number = (i: number) => String(i + 1).padStart(5, "0");
  return Array.from({ length: Number(count) }, (_, i) => `${stem}-${number(i)}-of-${count}.gguf`);
}

/** The files of the one GGUF in a folder; null where there is none. Errors: `no-weights` where there are several. */
export function chooseGguf(names: readonly string[], folder: string): readonly string[] | null {
  const models = new Map(names.filter(isGgufName).map((name) => [ggufParts(name)[0], ggufParts(name)]));
  const [first, ...others] = models.values();
  if (others.length === 0) return first ?? null;
  throw new ApplyDeltaError("no-weights", "The folder holds several GGUF models.", {
    file: folder,
    expected: "one model",
    got: firstFew([...models.keys()].map(String)),
    hint: `Give the file of one, for example ${join(folder, first?.[0] ?? "")}.`,
  });
}
