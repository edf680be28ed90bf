/** What each kind of refusal is called, and that it leaves nothing behind. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../src/errors.js";
import { hubRun, REPOSITORY, type RunOptions } from "../support/hub-run.js";
import { type Fault, type RepositorySample, TOKEN } from "../support/hub-server.js";
import { type ExpectedDetails, refusal } from "../support/refusal.js";

const big = (letter: string) => Buffer.alloc(10_000, letter);
const SAFE = "model-00001-of-00001.safetensors";
const INDEX = Buffer.from(JSON.stringify({ metadata: {}, weight_map: { weight: SAFE } }));

/** What the message must not hold, whatever went wrong. */
const SECRET = "hf_secret_of_the_user";

interface Refused {
  readonly name: string;
  readonly repository?: Partial<RepositorySample>;
  readonly run?: RunOptions;
  readonly fault?: Fault;
  readonly code: ErrorCode;
  readonly details: ExpectedDetails;
}

const REFUSED: readonly Refused[] = [
  {
    name: "no such repository",
    run: { reference: "owner/no-such" },
    code: "repository-not-found",
    details: {
      message: /^owner\/no-such is neither a local path nor a model on the Hub\.$/,
      hint: /typo.*HF_TOKEN/,
    },
  },
  {
    name: "no such repository, with a token",
    run: { reference: "owner/no-such", token: TOKEN },
    code: "repository-not-found",
    details: { hint: /typo.*token of an account with access/ },
  },
  {
    name: "a private one without a token",
    repository: { isPrivate: true },
    code: "repository-not-found",
    details: { hint: /private, set HF_TOKEN/ },
  },
  {
    name: "a gated one",
    repository: { gated: true },
    code: "gated-repository",
    details: { hint: /^Request access at http:\/\/.*\/owner\/model, then set HF_TOKEN\.$/ },
  },
  {
    name: "a token that isn't valid",
    run: { token: SECRET },
    code: "bad-token",
    details: { message: /rejects the token/, hint: /settings\/tokens/ },
  },
  {
    name: "a token that is none",
    run: { token: "two\nlines" },
    code: "bad-token",
    details: { message: /invalid characters/ },
  },
  {
    name: "a token that isn't valid, which the server quotes",
    run: { token: SECRET },
    fault: {
      kind: "status",
      status: 401,
      headers: { "x-error-message": `Invalid token ${SECRET}` },
    },
    code: "bad-token",
    details: { got: "status 401: Invalid token …" },
  },
  ...["", "huggingface.co", "ftp://hub.test", "https://"].map(
    (endpoint): Refused => ({
      name: `an endpoint called ${JSON.stringify(endpoint)}`,
      run: { endpoint },
      code: "bad-usage",
      details: { got: endpoint, hint: /HF_ENDPOINT/ },
    }),
  ),
  {
    name: "an endpoint with a password",
    run: { endpoint: `https://me:${SECRET}@hub.test` },
    code: "bad-usage",
    details: { got: "https://…@hub.test", hint: /HF_TOKEN/ },
  },
  {
    name: "no such revision",
    run: { reference: `${REPOSITORY}@v9` },
    code: "revision-not-found",
    details: { message: /no revision v9/, got: /status 404/, hint: /tree\/main/ },
  },
  {
    name: "a repository without weights",
    repository: { files: { "config.json": Buffer.from("{}"), "model.gguf": big("g") } },
    code: "no-weights",
    details: { message: /GGUF/, file: REPOSITORY },
  },
  {
    name: "an index that names a shard which isn't there",
    repository: { files: { "model.safetensors.index.json": INDEX } },
    code: "shard-missing",
    details: { file: `${REPOSITORY}/${SAFE}` },
  },
  {
    name: "a set of shards with a gap",
    repository: { files: { "model-00001-of-00002.safetensors": big("s") } },
    code: "shard-missing",
    details: { file: /model-00002-of-00002/ },
  },
  {
    name: "another size than the tree says",
    repository: { listed: { "model.safetensors": { size: 9_000 } } },
    code: "download-damaged",
    details: { expected: "9000 bytes", got: "10000 bytes" },
  },
  {
    name: "another digest than the tree says",
    repository: { listed: { "model.safetensors": { oid: "0".repeat(64) } } },
    code: "download-damaged",
    details: { expected: /^SHA-256 0{64}$/ },
  },
  ...(
    [
      ["config.json", 300_000_000, "bad-json"],
      ["tokenizer.json", 20_000_000_000, "bad-json"],
      ["tokenizer.model", 17_000_000, "tokenizer-malformed"],
    ] as const
  ).map(
    ([name, size, code]): Refused => ({
      name: `a ${name} of ${size} bytes, before it is fetched`,
      repository: {
        files: { [name]: Buffer.from("{}"), "model.safetensors": big("w") },
        listed: { [name]: { size } },
      },
      code,
      details: { file: `${REPOSITORY}/${name}`, got: `${size} bytes` },
    }),
  ),
  ...[
    "../../evil.json",
    "/etc/evil",
    "a\\..\\evil.bin",
    "C:evil.bin",
    "x/../../evil",
    "a//b",
    "evil\u0000.bin",
  ].map(
    (path): Refused => ({
      name: `a file called ${JSON.stringify(path)}`,
      repository: { listed: { "config.json": { path } } },
      code: "unsafe-file-name",
      details: { got: JSON.stringify(path) },
    }),
  ),
  {
    name: "a digest that is no digest",
    repository: { listed: { "model.safetensors": { oid: "../../evil" } } },
    code: "hub-failure",
    details: { got: /unexpected JSON/ },
  },
  {
    name: "a page of HTML for everything",
    fault: { kind: "redirect", to: "data:text/html,<p>log in" },
    code: "hub-failure",
    details: { got: /a redirect from http:/, hint: /login page/ },
  },
  {
    name: "redirects in a circle",
    fault: { kind: "redirect", to: "/round" },
    code: "hub-failure",
    details: { got: /redirects/ },
  },
];

describe("refused, and nothing left in the cache's snapshots:", { concurrency: 2 }, () => {
  for (const { name, repository, run: options, fault, code, details } of REFUSED) {
    test(name, async (context) => {
      const files = { "config.json": Buffer.from("{}"), "model.safetensors": big("w") };
      const run = await hubRun(context, { files, ...repository });
      if (fault !== undefined) run.hub.fault = () => fault;
      const error = await refusal(() => run.fetch(options), code, details);
      assert.doesNotMatch(error.format() + JSON.stringify(error.details), new RegExp(SECRET));
      assert.ok(!existsSync(join(run.cacheFolder, "models--owner--model", "refs", "main")));
    });
  }
});
