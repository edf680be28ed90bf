/** `UPDATE_DOCS=1 node --test dist/test/cli/mistakes.test.js` rewrites the blocks of both pages. */
import { describe } from "node:test";
import { holdPage } from "../support/mistake-page.js";
import { MODEL_MISTAKES } from "../support/model-mistakes.js";
import { TYPING_MISTAKES } from "../support/typing-mistakes.js";

describe("docs/mistakes.md", () => holdPage("docs/mistakes.md", MODEL_MISTAKES));
describe("docs/typing-mistakes.md", () => holdPage("docs/typing-mistakes.md", TYPING_MISTAKES));
