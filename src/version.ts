/** The program's name and version, as package.json says them. */
import { readFileSync } from "node:fs";

export const PROGRAM_NAME = "vicuna-apply-delta";

export function programVersion(): string {
  const path = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}
