/** A small model, and an answer in JSON that a hostile server gives instead of its own. */
import type { ServerResponse } from "node:http";

export const WEIGHTS = Buffer.alloc(700_000, "weights ");
export const FILES = { "config.json": Buffer.from("{}"), "model.safetensors": WEIGHTS };

export const json =
  (value: unknown, headers: Record<string, string> = {}) =>
  (response: ServerResponse) =>
    void response
      .writeHead(200, { "content-type": "application/json", ...headers })
      .end(typeof value === "string" ? value : JSON.stringify(value));
