import { readFileSync } from "node:fs";
import { ApplyDeltaError, errnoOf } from "../errors.js";
import type { HubSettings } from "./hub-settings.js";

/**
 * The settings' token, or that of the file where Python's `hf auth login` stores it. No message holds any part of it.
 * Errors: `bad-token`.
 */
export function readToken({ token, tokenFile }: HubSettings): string | null {
  const text = (token ?? (tokenFile === null ? "" : readTokenFile(tokenFile))).trim();
  if (text === "") return null;
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new ApplyDeltaError("bad-token", "The token contains invalid characters.", {
    ...(token === null && tokenFile !== null ? { file: tokenFile } : {}),
    hint: "Set HF_TOKEN to the token alone, without quotes or spaces in it.",
  });
}

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) !== undefined) return ""; // As in Python, nobody is logged in.
    throw error;
  }
}
