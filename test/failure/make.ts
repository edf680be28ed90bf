/** Writes the samples to `test/failure/files` anew: npm run build && node dist/test/failure/make.js */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectPath } from "../support/fixture-path.js";
import { SAMPLES } from "./samples.js";

const FOLDER = projectPath("test/failure/files");

rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER, { recursive: true });
for (const [name, sample] of Object.entries(SAMPLES)) {
  if (Buffer.isBuffer(sample) || typeof sample === "string") {
    writeFileSync(join(FOLDER, name), sample);
    continue;
  }
  mkdirSync(join(FOLDER, name));
  for (const [fileName, content] of Object.entries(sample))
    writeFileSync(join(FOLDER, name, fileName), content);
}
