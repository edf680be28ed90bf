/** What is fetched of a repository, where it lies then, and what the cache is good for. */
import assert from "node:assert/strict";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type HubRun, hubRun, REPOSITORY, randomRepository } from "../support/hub-run.js";
import { type Fault, sha256, TOKEN } from "../support/hub-server.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const big = (letter: string) => Buffer.alloc(10_000, letter);
const index = (...shards: string[]) =>
  Buffer.from(
    JSON.stringify({ metadata: {}, weight_map: Object.fromEntries(shards.map((name) => [name, name])) }),
  );
const SAFE = "model-00001-of-00001.safetensors";
const TORCH = "pytorch_model-00001-of-00001.bin";

const EVERYTHING: Record<string, Buffer> = {
  ".gitattributes": Buffer.from("x"),
  "README.md": Buffer.from("x"),
  "config.json": Buffer.from("{}"),
  "generation_config.json": Buffer.from("{ }"),
  [SAFE]: big("s"),
  "model.safetensors.index.json": index(SAFE),
  "optimizer.bin": big("o"),
  "pytorch_model.bin.index.json": index(TORCH),
  [TORCH]: big("p"),
  "flax_model.msgpack": big("f"),
  "tf_model.h5": big("t"),
  "tokenizer.model": big("m"),
  "tokenizer_config.json": Buffer.from("{  }"),
  "sub/model.safetensors": big("n"),
};

const names = (path: string) => readdirSync(path).sort();
const data = ({ hub }: HubRun) => hub.contentRequests().filter(({ range }) => range !== null && range[1] > 1);

describe("a model on the Hub", { concurrency: 2 }, () => {
  test("is fetched in one format, with config and tokenizer, in Python's layout", async (context) => {
    const run = await hubRun(context, { files: EVERYTHING });
    const said: string[] = [];
    const { path, commit } = await run.fetch({ said });
    assert.deepEqual(names(path), [
      "config.json",
      "generation_config.json",
      SAFE,
      "model.safetensors.index.json",
      "tokenizer.model",
      "tokenizer_config.json",
    ]);
    assert.equal(commit, run.hub.commitOf(REPOSITORY));
    const folder = join(run.cacheFolder, "models--owner--model");
    assert.equal(path, join(folder, "snapshots", commit));
    assert.equal(readFileSync(join(folder, "refs", "main"), "utf8"), commit);
    assert.equal(readlinkSync(join(path, SAFE)), join("..", "..", "blobs", sha256(big("s"))));
    assert.match(
      said[0] ?? "",
      /^downloading owner\/model@main \(commit [0-9a-f]{12}\): 20\.0 kB in 5 files\.$/,
    );
  });

  test("is fetched as .bin where there are no safetensors", async (context) => {
    const files = Object.fromEntries(
      Object.entries(EVERYTHING).filter(([name]) => !name.includes("safetensors")),
    );
    const { path } = await (await hubRun(context, { files })).fetch();
    assert.ok(names(path).includes(TORCH));
    assert.ok(!names(path).includes("optimizer.bin"));
  });

  test("isn't fetched in the other format if the cache has one as a whole", async (context) => {
    const run = await hubRun(context, { files: EVERYTHING });
    const { path, commit } = await run.fetch();
    rmSync(run.cacheFolder, { recursive: true });
    mkdirSync(path, { recursive: true });
    for (const name of [TORCH, "pytorch_model.bin.index.json"]) {
      writeFileSync(join(path, name), EVERYTHING[name] ?? "");
    }
    run.hub.requests.length = 0;
    assert.equal((await run.fetch()).commit, commit);
    assert.ok(!names(path).includes(SAFE));
    assert.ok(!run.hub.requests.some(({ url }) => url.includes("bin")));
  });

  test("asks for nothing but its state when all is there, and for that only online", async (context) => {
    const run = await hubRun(context, { files: EVERYTHING });
    const first = await run.fetch();
    run.hub.requests.length = 0;
    assert.deepEqual(await run.fetch(), first);
    assert.ok(run.hub.requests.length > 0);
    for (const { url } of run.hub.requests)
      assert.match(url, /^\/api\/models\/owner\/model\/(?:revision|tree)\//);
    run.hub.requests.length = 0;
    assert.deepEqual(await run.fetch({ offline: true }), first);
    assert.deepEqual(await run.fetch({ offline: true, reference: `${REPOSITORY}@${first.commit}` }), first);
    assert.deepEqual(run.hub.requests, []);
  });

  test("shares blobs between commits", async (context) => {
    const run = await hubRun(context, { files: EVERYTHING });
    await run.fetch();
    run.hub.repositories[REPOSITORY] = { files: { ...EVERYTHING, "config.json": Buffer.from('{"new":1}') } };
    run.hub.requests.length = 0;
    const { path } = await run.fetch();
    assert.deepEqual(data(run), []);
    assert.deepEqual(readFileSync(join(path, SAFE)), big("s"));
    assert.equal(readFileSync(join(path, "config.json"), "utf8"), '{"new":1}');
  });

  test("takes a revision, and remembers what it stood for", async (context) => {
    const run = await hubRun(context, { files: EVERYTHING, branches: ["v1"] });
    const first = await run.fetch({ reference: `${REPOSITORY}@v1` });
    assert.deepEqual(await run.fetch({ offline: true, reference: `${REPOSITORY}@v1` }), first);
    await refusal(() => run.fetch({ offline: true }), "not-in-cache", { got: /^other commits: / });
  });

  test("replaces a cached file of the wrong size", async (context) => {
    const run = await hubRun(context, { files: EVERYTHING });
    const { path } = await run.fetch();
    writeFileSync(join(path, SAFE), "cut"); // Through the link: the blob itself.
    await run.fetch();
    assert.deepEqual(readFileSync(join(path, SAFE)), big("s"));
  });

  test("comes out of Xet storage by its protocol, and over plain HTTP if asked to or if that fails", async (context) => {
    const repository = randomRepository(1_000_000);
    for (const [useXet, fault, viaXet] of [
      [true, () => undefined, true],
      [false, () => undefined, false],
      [
        true,
        ({ url }: { url: string }): Fault | undefined =>
          url.startsWith("/v2/") ? { kind: "status", status: 404 } : undefined,
        false,
      ],
    ] as const) {
      const run = await hubRun(context, { ...repository, xet: true });
      run.hub.fault = fault;
      const { path } = await run.fetch({ useXet });
      assert.deepEqual(readFileSync(join(path, "model.safetensors")), repository.weights);
      assert.equal(
        data(run).some(({ url }) => url.startsWith("/xorbs/")),
        viaXet,
      );
      assert.equal(
        data(run).some(({ url }) => url.startsWith("/content/")),
        !viaXet,
      );
    }
  });

  test("survives connections that break in the middle of Xet's answers", async (context) => {
    const repository = randomRepository(1_000_000);
    const run = await hubRun(context, { ...repository, xet: true });
    let drops = 6;
    run.hub.fault = ({ url }) =>
      url.startsWith("/xorbs/") && drops-- > 0 ? { kind: "drop", afterBytes: 50_000 } : undefined;
    const { path } = await run.fetch();
    assert.deepEqual(readFileSync(join(path, "model.safetensors")), repository.weights);
  });
});

/** The address of a server that has ended. */
async function deadAddress(context: TestContext): Promise<string> {
  const { hub } = await hubRun(context, { files: {} });
  await hub.close();
  return hub.url;
}

test("no network: what the cache has is said, and how to use it", async (context) => {
  const run = await hubRun(context, { files: EVERYTHING });
  const endpoint = await deadAddress(context);
  await refusal(() => run.fetch({ endpoint }), "no-network", {
    message: /^owner\/model is not a local path, and the Hub can't be reached\.$/,
    hint: /The cache holds nothing of it\./,
  });
  const { path, commit } = await run.fetch();
  await refusal(() => run.fetch({ endpoint }), "no-network", {
    hint: new RegExp(`The cache holds commit ${commit.slice(0, 12)} of it: add --offline`),
  });
  rmSync(join(path, SAFE));
  await refusal(() => run.fetch({ endpoint }), "no-network", { hint: new RegExp(`without ${SAFE}`) });
  await refusal(() => run.fetch({ offline: true }), "not-in-cache", { got: new RegExp(`without ${SAFE}`) });
  rmSync(join(path, "model.safetensors.index.json"));
  await refusal(() => run.fetch({ offline: true }), "not-in-cache", { got: /without its weights/ });
});

test("a token has access, goes to the Hub alone, and may stand in a file", async (context) => {
  const repository = { ...randomRepository(100_000), gated: true, isPrivate: true, xet: true };
  const run = await hubRun(context, repository);
  const tokenFile = join(temporaryFolder(context), "token");
  writeFileSync(tokenFile, `${TOKEN}\n`);
  for (const options of [{ token: TOKEN }, { tokenFile }, { tokenFile, useXet: false }] as const) {
    rmSync(run.cacheFolder, { recursive: true, force: true });
    const { path } = await run.fetch(options);
    assert.deepEqual(readFileSync(join(path, "model.safetensors")), repository.weights);
  }
  writeFileSync(tokenFile, "hf_old");
  await refusal(() => run.fetch({ tokenFile }), "bad-token", {
    hint: new RegExp(`^The token comes from ${tokenFile}\\. Create a token`),
  });
  for (const { at, url, authorization } of run.hub.requests) {
    if (authorization === "Bearer hf_old") continue;
    if (at === "hub") assert.equal(authorization, `Bearer ${TOKEN}`, url);
    else assert.ok(authorization === undefined || authorization === "Bearer cas", url);
  }
});

test("disk space: said before the first byte of weights", async (context) => {
  const listed = { "model.safetensors": { size: 2 ** 52 } };
  const run = await hubRun(context, { ...randomRepository(10_000), listed });
  await refusal(() => run.fetch(), "no-space", { expected: /for the Hub's cache/, hint: /--cache-dir/ });
  assert.deepEqual(data(run), []);
});

describe("a cache that is something else is no bug of ours:", () => {
  for (const [name, make, hint] of [
    [
      "a file",
      (path: string) => writeFileSync(path, ""),
      /A file or a broken link is where a folder belongs.*--cache-dir/,
    ],
    ["a link to nowhere", (path: string) => symlinkSync("nowhere", path), /a broken link/],
    ["a link to itself", (path: string) => symlinkSync(path, path), /A link points to itself/],
  ] as const) {
    for (const where of ["", "models--owner--model", "models--owner--model/blobs", ".locks"]) {
      test(`${name} for ${where === "" ? "the whole" : where}`, async (context) => {
        const run = await hubRun(context, randomRepository(10_000));
        const path = join(run.cacheFolder, where);
        mkdirSync(dirname(path), { recursive: true });
        make(path);
        await refusal(() => run.fetch(), "cache-unwritable", { hint });
      });
    }
  }
});

test("a whole model in a cache that can't be written is used", async (context) => {
  const run = await hubRun(context, { files: EVERYTHING });
  const first = await run.fetch();
  // Root may write anywhere, so rights alone prove nothing: a file is in the folder's place.
  const refs = join(run.cacheFolder, "models--owner--model", "refs");
  rmSync(refs, { recursive: true });
  writeFileSync(refs, "");
  const said: string[] = [];
  assert.deepEqual(await run.fetch({ said }), first);
  assert.ok(said.some((line) => line.includes("--offline won't find owner/model@main")));
});

test("links of the cache that lead nowhere are made anew", async (context) => {
  const run = await hubRun(context, { files: EVERYTHING });
  const { path } = await run.fetch();
  rmSync(join(run.cacheFolder, "models--owner--model", "blobs"), { recursive: true });
  await refusal(() => run.fetch({ offline: true }), "not-in-cache", { got: /commit \w+ without|nothing/ });
  assert.equal((await run.fetch()).path, path);
  assert.deepEqual(readFileSync(join(path, SAFE)), big("s"));
});
