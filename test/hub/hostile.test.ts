/**
 * A Hub, or something in its place, that wants to hang, flood or mislead: every answer ends in a right result or a
 * typed error, after a bounded number of requests.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { ErrorCode } from "../../src/errors.js";
import { FILES, json, WEIGHTS } from "../support/hostile-answers.js";
import { hubRun, type RunOptions } from "../support/hub-run.js";
import type { Fault, RecordedRequest } from "../support/hub-server.js";
import { type ExpectedDetails, refusal } from "../support/refusal.js";

interface Hostile {
  readonly name: string;
  readonly when: (request: RecordedRequest) => boolean;
  readonly answer: (response: ServerResponse, request: RecordedRequest) => void;
  readonly run?: RunOptions;
  /** Null: the right result. */
  readonly code: ErrorCode | null;
  readonly details?: ExpectedDetails;
  readonly files?: Readonly<Record<string, Buffer>>;
}

const isTree = ({ url }: RecordedRequest) => url.includes("/tree/");
const isInfo = ({ url }: RecordedRequest) => url.includes("/revision/");
const isContent = ({ at, range }: RecordedRequest) => at === "content" && range !== null && range[1] > 1;

/** A byte now and then, for as long as anybody listens. */
function trickle(response: ServerResponse, byte = " "): void {
  const timer = setInterval(() => void response.write(byte), 100);
  response.once("close", () => clearInterval(timer));
}

/** The bytes of a range, and heads that say what they like. */
function part(
  heads: (start: number, end: number) => Record<string, string>,
  { status = 206, body }: { status?: number; body?: (bytes: Buffer) => Buffer } = {},
) {
  return (response: ServerResponse, { range }: RecordedRequest) => {
    const [start, end] = [range?.[0] ?? 0, Math.min(range?.[1] ?? 0, WEIGHTS.length)];
    const bytes = WEIGHTS.subarray(start, end);
    response.writeHead(status, heads(start, end)).end(body === undefined ? bytes : body(bytes));
  };
}

const contentRange = (start: number, end: number) => ({
  "content-range": `bytes ${start}-${end - 1}/${WEIGHTS.length}`,
});

const HOSTILE: readonly Hostile[] = [
  {
    name: "pages of files without an end",
    when: isTree,
    answer: (response) =>
      json([], { link: `<http://${response.req.headers.host}${response.req.url}>; rel="next"` })(response),
    code: "hub-failure",
    details: { got: /pages/ },
  },
  ...[null, [], {}, "<html>log in</html>", '{"sha":"../../evil"}', "", "[".repeat(1_000_000)].map(
    (value): Hostile => ({
      name: `${JSON.stringify(value).slice(0, 30)} for a model`,
      when: isInfo,
      answer: json(value),
      code: "hub-failure",
      details: { hint: /login page/ },
    }),
  ),
  {
    name: "pages of files that are too many bytes together, though each is short enough",
    when: isTree,
    answer: (response) =>
      json(`[${" ".repeat(7_000_000)}]`, {
        link: `<http://${response.req.headers.host}${response.req.url}>; rel="next"`,
      })(response),
    code: "too-large",
    details: { message: /bytes in the repository's listing/ },
  },
  {
    name: "a page of more files than a repository has",
    when: isTree,
    answer: json(`[${"{},".repeat(200_000)}{}]`),
    code: "hub-failure",
    details: { got: /more than 131072 values/ },
  },
  {
    name: "a page of nothing but [",
    when: isTree,
    answer: json("[".repeat(7_000_000)),
    code: "hub-failure",
    details: { got: /nested more than 64 deep/ },
  },
  ...[null, {}, [null], [1], [{ type: "file" }], "<html>log in</html>", [{ type: "file", path: 3 }]].map(
    (value): Hostile => ({
      name: `${JSON.stringify(value)} for a list of files`,
      when: isTree,
      answer: json(value),
      code: "hub-failure",
      details: { hint: /login page/ },
    }),
  ),
  {
    name: "a compressed list of files",
    when: isInfo,
    answer: (response) =>
      void response
        .writeHead(200, { "content-encoding": "gzip" })
        .end(gzipSync(JSON.stringify({ sha: "0".repeat(40) }))),
    code: "revision-not-found",
  },
  {
    name: "a compressed answer that fills the memory",
    when: isInfo,
    answer: (response) =>
      void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(100_000_000))),
    code: "hub-failure",
    details: { got: /more than 8000000 bytes/ },
  },
  {
    name: "an answer that says it is compressed and isn't",
    when: isInfo,
    answer: json({}, { "content-encoding": "gzip" }),
    code: "hub-failure",
  },
  {
    name: "no HTTP at all",
    when: isInfo,
    answer: (response) => void response.socket?.end("SSH-2.0-OpenSSH_9.2\r\n"),
    code: "hub-failure",
  },
  {
    name: "heads that fill the memory",
    when: isInfo,
    answer: (response) => void response.socket?.end(`HTTP/1.1 200 OK\r\nx: ${"x".repeat(1_000_000)}\r\n\r\n`),
    code: "hub-failure",
  },
  {
    name: "heads that come byte by byte",
    when: isInfo,
    answer: (response) => {
      response.socket?.write("HTTP/1.1 200 OK\r\n");
      const timer = setInterval(() => void response.socket?.write("x"), 100);
      response.socket?.once("close", () => clearInterval(timer));
    },
    code: "no-network",
  },
  {
    name: "an answer that comes byte by byte",
    when: isInfo,
    answer: (response) => {
      response.writeHead(200);
      trickle(response);
    },
    code: "no-network",
  },
  {
    name: "a redirect to no address",
    when: isInfo,
    answer: (response) => void response.writeHead(302, { location: "http://[" }).end(),
    code: "hub-failure",
    details: { got: /redirect/ },
  },
  ...["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "blob:x", "javascript:1"].map(
    (to): Hostile => ({
      name: `content at ${to}`,
      when: isContent,
      answer: (response) => void response.writeHead(302, { location: to }).end(),
      code: "hub-failure",
      details: { got: /^a redirect from http:/ },
    }),
  ),
  {
    name: "content that is redirected in circles",
    when: isContent,
    answer: (response) => void response.writeHead(307, { location: response.req.url }).end(),
    code: "hub-failure",
    details: { got: /more than 8 redirects/ },
  },
  ...(
    [
      ["another part", (start, end) => contentRange(start + 1, end + 1)],
      ["a shorter part", (start, end) => contentRange(start, end - 1)],
      ["no range", () => ({})],
      ["a range of no file", () => ({ "content-range": "bytes */700000" })],
      ["a range that is none", () => ({ "content-range": "bytes 0-1e9/Infinity" })],
    ] as [string, (start: number, end: number) => Record<string, string>][]
  ).map(
    ([name, heads]): Hostile => ({
      name: `content whose head says ${name}`,
      when: isContent,
      answer: part(heads),
      code: "hub-failure",
      details: { file: "owner/model/model.safetensors" },
    }),
  ),
  {
    name: "content of another size than listed",
    when: isContent,
    answer: part((start, end) => ({ "content-range": `bytes ${start}-${end - 1}/9007199254740993` })),
    code: "download-damaged",
  },
  {
    name: "content longer than its length",
    when: isContent,
    answer: part((start, end) => ({ ...contentRange(start, end), "content-length": "1000" })),
    code: "no-network",
  },
  {
    name: "content shorter than its length",
    when: isContent,
    answer: (response, request) => {
      part((start, end) => ({ ...contentRange(start, end), "content-length": "999999" }), {
        body: (bytes) => bytes.subarray(0, 10),
      })(response, request);
    },
    code: "no-network",
  },
  {
    name: "more content than was asked for",
    when: isContent,
    answer: (response, request) => {
      const [start, end] = [request.range?.[0] ?? 0, Math.min(request.range?.[1] ?? 0, WEIGHTS.length)];
      response.writeHead(206, contentRange(start, end));
      response.write(WEIGHTS.subarray(start, end));
      const timer = setInterval(() => void response.write(Buffer.alloc(100_000)), 1);
      response.once("close", () => clearInterval(timer));
    },
    code: null,
  },
  {
    name: "compressed content",
    when: isContent,
    answer: part((start, end) => ({ ...contentRange(start, end), "content-encoding": "gzip" }), {
      body: gzipSync,
    }),
    code: null,
  },
  {
    name: "the whole file instead of a part, where that is all there is to ask for",
    when: isContent,
    answer: (response) => void response.writeHead(200).end(WEIGHTS),
    run: { transfer: { rangeBytes: 1_000_000 } },
    code: null,
  },
  {
    name: "the whole file instead of a part",
    when: isContent,
    answer: (response) => void response.writeHead(200).end(WEIGHTS),
    code: "hub-failure",
    details: { got: /instead of a range/ },
  },
  {
    name: "content that comes byte by byte",
    when: isContent,
    answer: (response, { range }) => {
      response.writeHead(206, contentRange(range?.[0] ?? 0, Math.min(range?.[1] ?? 0, WEIGHTS.length)));
      trickle(response, "w");
    },
    code: "no-network",
  },
  {
    name: "a byte for each request",
    when: isContent,
    answer: (response, { range }) => {
      response.writeHead(206, contentRange(range?.[0] ?? 0, Math.min(range?.[1] ?? 0, WEIGHTS.length)));
      response.write("w", () => response.socket?.destroySoon());
    },
    code: "no-network",
  },
  {
    name: "an index that is larger than any",
    when: () => false,
    answer: () => {},
    files: { "model.safetensors.index.json": Buffer.alloc(65_000_000) },
    code: "index-malformed",
  },
  {
    name: "a name that no file system takes",
    when: () => false,
    answer: () => {},
    files: { [`${"x".repeat(300)}.safetensors`]: WEIGHTS },
    code: "cache-unwritable",
    details: { hint: /too long/ },
  },
  {
    name: "etags that lead elsewhere",
    when: ({ url }) => url.endsWith("/config.json"),
    answer: (response) => void response.writeHead(200, { etag: '"../../evil"' }).end("{}"),
    code: null,
  },
];

describe("a hostile Hub gives", { concurrency: 4 }, () => {
  for (const { name, when, answer, run: options, code, details, files = FILES } of HOSTILE) {
    test(name, { timeout: 60_000 }, async (context) => {
      const run = await hubRun(context, { files });
      run.hub.fault = (request): Fault | undefined =>
        when(request) ? { kind: "answer", with: (response) => answer(response, request) } : undefined;
      if (code === null) {
        const { path } = await run.fetch(options);
        assert.deepEqual(readFileSync(join(path, "model.safetensors")), WEIGHTS);
      } else {
        await refusal(() => run.fetch(options), code, details);
      }
      assert.ok(run.hub.requests.length < 200, `${run.hub.requests.length} requests`);
    });
  }
});
