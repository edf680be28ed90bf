import { ProtocolError } from "./answers.js";

/** A page of a listing nests three deep and has some 15 values a file, for 1000 files. */
const MAX_DEPTH = 64;
const MAX_VALUES = 1 << 17;

/**
 * Looks at JSON before it is parsed, since what a parser makes of `[[[` or `{},{},` is many times as large as the text.
 * Errors: `ProtocolError`.
 */
export function checkJsonBounds(text: string): void {
  let depth = 0;
  let values = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (isInString) {
      if (character === "\\") at++;
      else if (character === '"') isInString = false;
      continue;
    }
    if (character === '"') isInString = true;
    else if (character === "," || character === ":") values++;
    else if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth--;
    if (depth > MAX_DEPTH) throw new ProtocolError(`JSON nested more than ${MAX_DEPTH} deep`);
    if (values > MAX_VALUES) throw new ProtocolError(`JSON of more than ${MAX_VALUES} values`);
  }
}
