/** Writes man/vicuna-apply-delta.1 from the definitions of the command line. Part of `npm run build`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { defineCommand } from "../src/cli/definition.js";
import { createProgram } from "../src/cli/main.js";
import { PROGRAM_NAME, programVersion } from "../src/version.js";
import { manPage } from "./man-page.js";

const folder = new URL("../../man/", import.meta.url);
mkdirSync(folder, { recursive: true });
const page = manPage(defineCommand(createProgram()), programVersion());
writeFileSync(new URL(`${PROGRAM_NAME}.1`, folder), page);
