/** In: a report, and where the user wants it. Out: a file. Errors: `target-unwritable`, `no-space`. */
import { writeFileSync } from "node:fs";
import { onTarget } from "../files/write-errors.js";

/** Writes over what is there: the user named this very file. */
export function writeTextFile(path: string, text: string): void {
  onTarget(path, () => writeFileSync(path, text));
}
