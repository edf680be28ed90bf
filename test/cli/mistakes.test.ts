/** `UPDATE_DOCS=1 node --test dist/test/cli/mistakes.test.js` rewrites the blocks of both pages. */
import { describe } from "node:test";
import { holdPage } from "../support/mistake-page.js";
import { MISTAKES } from "../support/mistakes.js";
import { TYPING_MISTAKES } from "../support/typing-mistakes.js";

describe("docs/mistakes.md", () => holdPage("docs/mistakes.md", MISTAKES));
describe("docs/typing-mistakes.md", () => holdPage("docs/typing-mistakes.md", TYPING_MISTAKES));
