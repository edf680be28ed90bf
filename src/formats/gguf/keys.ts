import { Budget } from "../../budget.js";
import type { RandomAccessFile } from "../../tensor.js";
import { HeaderReader } from "../header-reader.js";
import type { GgufEntry } from "./metadata.js";
import { readGguf } from "./reader.js";

/** The keys of each file of a model; those of the model itself are in the first. Errors: those of `readGguf`. */
export async function readGgufKeys(files: readonly RandomAccessFile[]): Promise<(readonly GgufEntry[])[]> {
  const budget = new Budget();
  const keys: (readonly GgufEntry[])[] = [];
  for (const file of files) keys.push((await readGguf(new HeaderReader(file, budget))).metadata);
  return keys;
}
