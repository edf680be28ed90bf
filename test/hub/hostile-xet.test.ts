/** A Xet storage that floods or misleads: the file comes over plain HTTP, after a bounded number of requests. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import { FILES, json, WEIGHTS } from "../support/hostile-answers.js";
import { hubRun } from "../support/hub-run.js";

describe("a hostile Xet storage gives", { concurrency: 4 }, () => {
  const range = { start: 0, end: 1 };
  const terms = (url: string, more = {}) => ({
    offset_into_first_range: 0,
    terms: [{ hash: "a", unpacked_length: WEIGHTS.length, range }],
    xorbs: { a: [{ url, ranges: [{ chunks: range, bytes: { start: 0, end: 9 } }] }] },
    ...more,
  });
  for (const [name, answer] of [
    ["HTML", json("<html>")],
    ["null", json(null)],
    ["nothing", json({ offset_into_first_range: 0, terms: [], xorbs: {} })],
    ["a file of this machine", json(terms("file:///etc/passwd"))],
    ["no address", json(terms("http://["))],
    ["an offset behind its end", json(terms("http://127.0.0.1:1/x", { offset_into_first_range: 1e15 }))],
    ["more than fits into memory", json(" ".repeat(40_000_000))],
    ["a redirect to a file", (response) => void response.writeHead(302, { location: "file:///x" }).end()],
  ] as [string, (response: ServerResponse) => void][]) {
    test(`${name}: the file comes over plain HTTP`, { timeout: 60_000 }, async (context) => {
      const run = await hubRun(context, { files: FILES, xet: true });
      run.hub.fault = ({ url }) => (url.startsWith("/v2/") ? { kind: "answer", with: answer } : undefined);
      const { path } = await run.fetch();
      assert.deepEqual(readFileSync(join(path, "model.safetensors")), WEIGHTS);
      assert.ok(run.hub.requests.length < 200, `${run.hub.requests.length} requests`);
    });
  }

  test("chunks that are none: the file comes over plain HTTP", { timeout: 60_000 }, async (context) => {
    const run = await hubRun(context, { files: FILES, xet: true });
    run.hub.fault = ({ url }) =>
      url.startsWith("/xorbs/")
        ? { kind: "answer", with: (response) => void response.writeHead(206).end(Buffer.alloc(100_000, 255)) }
        : undefined;
    const { path } = await run.fetch();
    assert.deepEqual(readFileSync(join(path, "model.safetensors")), WEIGHTS);
  });
});
