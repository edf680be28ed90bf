/** What huggingface_hub 2 does with the cache that is shared, its switches and its logins. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { createServer as createProxy } from "node:http";
import { createServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { applyDelta } from "../../src/apply/apply-delta.js";
import { RepositoryCache } from "../../src/hub/cache.js";
import { hasLoginExpired } from "../../src/hub/login.js";
import { hubRun, REPOSITORY, randomRepository } from "../support/hub-run.js";
import { sha256 } from "../support/hub-server.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { assertSameTarget, isData, mediumPair, streamRun } from "../support/stream-run.js";

const SIZE = 400_000;

test("a ref names a snapshot on its way, so that `hf cache prune` leaves it, and none afterwards", async (context) => {
  const repository = randomRepository(SIZE);
  const run = await hubRun(context, repository);
  const cache = new RepositoryCache(run.cacheFolder, REPOSITORY);
  const commit = run.hub.commitOf(REPOSITORY);
  const refs = () => readdirSync(join(cache.folder, "refs"));
  let held: string[] = [];
  run.hub.fault = (request) => {
    if (isData(request)) held = refs();
    return undefined;
  };
  await run.fetch();
  assert.deepEqual(held, [`vicuna-apply-delta-${commit.slice(0, 12)}`]);
  assert.deepEqual(refs(), ["main"]);
  assert.ok(readdirSync(join(cache.folder, "blobs")).every((name) => !name.endsWith(".incomplete")));
});

test("of several beginnings of Python's the longest is taken over, and the others go", async (context) => {
  const repository = randomRepository(SIZE);
  const run = await hubRun(context, repository);
  const blob = new RepositoryCache(run.cacheFolder, REPOSITORY).blobPath(sha256(repository.weights));
  mkdirSync(dirname(blob), { recursive: true });
  for (const [name, byteLength, ageSeconds] of [
    [".incomplete", 100_000, 3600],
    [".0123abcd.incomplete", 300_000, 3600],
    [".89abcdef.incomplete", 350_000, 0],
    [".notours.incomplete", 390_000, 3600],
  ] as const) {
    writeFileSync(blob + name, repository.weights.subarray(0, byteLength));
    const time = Date.now() / 1000 - ageSeconds;
    utimesSync(blob + name, time, time);
  }
  const { path } = await run.fetch();
  assert.deepEqual(readFileSync(join(path, "model.safetensors")), repository.weights);
  const sent = run.hub.requests.filter(isData).reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  assert.equal(sent, SIZE - 300_000);
  const left = readdirSync(dirname(blob)).filter((name) => name.includes("incomplete"));
  assert.deepEqual(left.map((name) => name.slice(64)).sort(), [
    ".89abcdef.incomplete",
    ".notours.incomplete",
  ]);
});

test("the cache is marked for backups, and without links the snapshot has the files", async (context) => {
  const { files } = randomRepository(SIZE);
  const run = await hubRun(context, { files: { ...files, "added_tokens.json": Buffer.from("{}") } });
  const { path, commit } = await run.fetch({ useLinks: false });
  // They have one content, and so one blob.
  for (const name of ["config.json", "added_tokens.json"])
    assert.equal(readFileSync(join(path, name), "utf8"), "{}");
  assert.match(
    readFileSync(join(run.cacheFolder, "CACHEDIR.TAG"), "utf8"),
    /^Signature: 8a477f597d28d172789f06886806bc55\n/,
  );
  assert.ok(lstatSync(join(path, "model.safetensors")).isFile());
  run.hub.requests.length = 0;
  assert.equal((await run.fetch({ useLinks: false })).path, path);
  assert.deepEqual(run.hub.requests.filter(isData), []);
  assert.equal(
    (await run.fetch({ offline: true, reference: `${REPOSITORY}@${commit.slice(0, 7)}` })).path,
    path,
  );
  await refusal(() => run.fetch({ offline: true, reference: `${REPOSITORY}@0123456` }), "not-in-cache");
});

test("a cache that can't be written is none of streaming's business", {
  skip: process.platform !== "linux",
}, async (context) => {
  const run = await streamRun(context, mediumPair());
  await applyDelta({ ...run.local, target: join(run.root, "expected"), skipBaseCheck: true });
  const hub = { ...run.hubOptions, cacheFolder: "/proc/no-cache" };
  await run.stream("out", { hub });
  assertSameTarget(join(run.root, "out"), join(run.root, "expected"));
  await refusal(() => run.stream("other", { hub: { ...hub, stream: false } }), "cache-unwritable");
});

test("a login that has run out is said to have", async (context) => {
  const run = await hubRun(context, randomRepository(SIZE));
  const tokenFile = join(run.root, "token");
  writeFileSync(tokenFile, "hf_oauth_old\n");
  const store = (seconds: number) =>
    writeFileSync(
      join(run.root, "stored_tokens"),
      `[other]\nhf_token = hf_other\n\n[login]\nhf_token = hf_oauth_old\nrefresh_token = r\nexpires_at = ${seconds}\n`,
    );
  store(1_000_000_000);
  await refusal(() => run.fetch({ tokenFile }), "bad-token", {
    message: /login.*expired/,
    hint: /hf auth whoami/,
  });
  store(9_000_000_000);
  await refusal(() => run.fetch({ tokenFile }), "bad-token", { hint: /^The token comes from/ });
  assert.equal(hasLoginExpired(join(run.root, "none")), false);
});

test("certificates of SSL_CERT_FILE are trusted, and one that isn't trusted names its host", async (context) => {
  const folder = temporaryFolder(context);
  const [key, cert] = ["key.pem", "0123abcd.0"].map((name) => join(folder, name)) as [string, string];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  try {
    execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, ...subject],
      { stdio: "ignore" },
    );
  } catch {
    return context.skip("there is no openssl");
  }
  const server = createServer(
    { key: readFileSync(key), cert: readFileSync(cert) },
    (_, response) => void response.writeHead(404, { "x-error-code": "RepoNotFound" }).end(),
  ).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  context.after(() => server.close());
  const endpoint = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const run = await hubRun(context, randomRepository(SIZE));
  await refusal(() => run.fetch({ endpoint }), "no-network", {
    message: /^The certificate of 127\.0\.0\.1:\d+ isn't trusted/,
    hint: /SSL_CERT_FILE/,
  });
  for (const certificates of [{ file: cert }, { folder: dirname(cert) }])
    await refusal(() => run.fetch({ endpoint, certificates }), "repository-not-found");
  // By a tunnel through a proxy, too.
  let tunnels = 0;
  const proxy = createProxy().listen(0, "127.0.0.1");
  proxy.on("connect", ({ url = "" }, client, head) => {
    tunnels++;
    const [host, port] = url.split(":");
    const upstream = connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    for (const socket of [upstream, client]) socket.on("error", () => {});
  });
  await new Promise((resolve) => proxy.once("listening", resolve));
  context.after(() => proxy.close());
  const https = `http://me:secret@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const through = { endpoint, certificates: { file: cert }, proxy: { https } };
  await refusal(() => run.fetch(through), "repository-not-found");
  assert.ok(tunnels > 0);
  // As good as none.
  const gone = join(folder, "none");
  await refusal(() => run.fetch({ endpoint, certificates: { file: gone, folder: gone } }), "no-network");
});
