/** Where the fixtures lie: in the source tree, seen from the compiled tests. */
import { fileURLToPath } from "node:url";

/** Path of a file or folder of `test/fixtures`. */
export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`../../../test/fixtures/${name}`, import.meta.url));
}

/** Path of a file or folder of the project. */
export function projectPath(name: string): string {
  return fileURLToPath(new URL(`../../../${name}`, import.meta.url));
}
