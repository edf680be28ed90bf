/** Compiles the SIMD kernel, unless it is newer than its sources: loading the compiler alone takes a second. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SOURCES = "src/kernel/assembly";

const changedMs = (path: string) => statSync(join(ROOT, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const sources = readdirSync(join(ROOT, SOURCES)).map((name) => `${SOURCES}/${name}`);
const newest = Math.max(...["package-lock.json", ...sources].map(changedMs));

if (changedMs("dist/src/kernel/simd.wasm") < newest) {
  process.chdir(ROOT);
  const { main } = await import("assemblyscript/asc");
  const words = [`${SOURCES}/simd.ts`, "--config", `${SOURCES}/asconfig.json`, "--target", "release"];
  const { error } = await main(words, { stdout: process.stdout, stderr: process.stderr });
  if (error !== null) process.exitCode = 1;
}
