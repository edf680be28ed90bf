/** The main job with models named as on the Hub, by the command line: cold, warm, offline, stopped, refused. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { hubOptionsOf } from "../../src/cli/environment.js";
import { readProvenance } from "../../src/target/provenance.js";
import { filesIn, tinyRepositories } from "../support/hub-run.js";
import { type HubServer, startHub, TOKEN } from "../support/hub-server.js";
import { temporaryFolder } from "../support/model-folder.js";
import { type CliResult, runCli } from "../support/run-cli.js";

const BASE = "huggyllama/llama-7b";
const DELTA = "lmsys/vicuna-7b-delta-v1.1";

interface Place {
  readonly root: string;
  readonly hub: HubServer;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly apply: (target: string, ...more: string[]) => Promise<CliResult>;
}

async function place(context: TestContext, gated = false): Promise<Place> {
  const root = temporaryFolder(context);
  const { base, delta } = tinyRepositories(root);
  const hub = await startHub({ [BASE]: { ...base, gated, xet: true }, [DELTA]: delta }, context);
  const env = { HF_ENDPOINT: hub.url, HF_HOME: join(root, "home"), HF_HUB_OFFLINE: undefined };
  const apply = (target: string, ...more: string[]) =>
    runCli(["--base", BASE, "--delta", DELTA, "--target", target, ...more], { cwd: root, env });
  return { root, hub, env, apply };
}

const weightsOf = (folder: string) => readFileSync(join(folder, "model.safetensors"));

describe("owner/name", { concurrency: 2 }, () => {
  test("cold, warm and offline give what local folders give", async (context) => {
    const { root, hub, apply } = await place(context);
    const local = ["--base", "local-base", "--delta", "local-delta", "--target", "local"];
    assert.equal((await runCli(local, { cwd: root })).code, 0);

    const cold = await apply("cold", "--json");
    assert.equal(cold.code, 0, cold.stderr);
    // Stdout is the document and nothing else: the library would print there.
    assert.equal((JSON.parse(cold.stdout) as { target: string }).target, join(root, "cold"));
    assert.match(
      cold.stderr,
      /^downloading huggyllama\/llama-7b@main \(commit \w{12}\): [\d.]+ kB in 1 file\.$/m,
    );
    assert.match(cold.stderr, /^[\d.]+ kB in all\.$/m);
    const card = readFileSync(join(root, "cold", "README.md"), "utf8");
    assert.ok(card.includes(`- delta: ${DELTA}, commit ${hub.commitOf(DELTA)}`), card);
    const { delta } = readProvenance(join(root, "cold")) ?? assert.fail("no record");
    assert.deepEqual([delta.reference, delta.revision], [DELTA, hub.commitOf(DELTA)]);

    hub.requests.length = 0;
    const warm = await apply("warm");
    assert.equal(warm.code, 0, warm.stderr);
    assert.ok(hub.requests.length > 0 && hub.requests.every(({ url }) => url.startsWith("/api/")));
    assert.doesNotMatch(warm.stderr, /downloading/);

    hub.requests.length = 0;
    const offline = await apply("offline", "--offline");
    assert.equal(offline.code, 0, offline.stderr);
    assert.deepEqual(hub.requests, []);

    for (const target of ["cold", "warm", "offline"]) {
      assert.deepEqual(weightsOf(join(root, target)), weightsOf(join(root, "local")), target);
      assert.deepEqual(Object.keys(filesIn(join(root, target))), Object.keys(filesIn(join(root, "local"))));
    }
  });

  test("the release is recognised by the repository's name", async (context) => {
    const { apply } = await place(context);
    const { stderr } = await apply("out");
    // A tiny model under the name: the name is known, and doubted.
    assert.match(stderr, /^warning: it is named vicuna-7b-delta-v1\.1, but its embedding has 64 rows/m);
  });

  test("a release of whole models is refused before the Hub is asked", async (context) => {
    const root = temporaryFolder(context);
    const { base, delta } = tinyRepositories(root);
    const hub = await startHub({ [BASE]: base, "lmsys/vicuna-7b-v1.3": delta }, context);
    const env = { HF_ENDPOINT: hub.url, HF_HOME: join(root, "home"), HF_HUB_OFFLINE: undefined };
    const apply = (given: string, ...more: string[]) =>
      runCli(["--base", BASE, "--delta", given, "--target", "out", ...more], { cwd: root, env });
    const cached = "hub/models--lmsys--vicuna-33b-v1.3/snapshots/0123";
    mkdirSync(join(root, cached), { recursive: true });
    const both = "The deltas of 7B are lmsys/vicuna-7b-delta-v1.1 and lmsys/vicuna-7b-delta-v0.";
    const cases: [given: string, name: string, hint: string][] = [
      ["lmsys/vicuna-7b-v1.3", "vicuna-7b-v1.3", both],
      ["lmsys/vicuna-7b-v1.1@main", "vicuna-7b-v1.1", both],
      ["https://huggingface.co/LMSYS/vicuna-7b-v1.5-16k/tree/main", "vicuna-7b-v1.5-16k", both],
      ["hf://lmsys/vicuna-13b-v1.5", "vicuna-13b-v1.5", "The deltas of 13B are lmsys/vicuna-13b-delta-v1.1"],
      [cached, "vicuna-33b-v1.3", "There is no delta of 33B."],
    ];
    for (const [given, name, hint] of cases) {
      const { code, stderr } = await apply(given, ...(given === cached ? ["--dry-run"] : []));
      assert.equal(code, 5, stderr);
      assert.match(stderr, new RegExp(`^error: ${name} is a complete model, not a delta\\.$`, "m"));
      assert.ok(stderr.includes(`what now: Use it as it is: it needs no base. ${hint}`), stderr);
    }
    const swapped = ["--base", "lmsys/vicuna-7b-delta-v1.1", "--delta", BASE, "--target", "out"];
    const { code, stderr } = await runCli(swapped, { cwd: root, env });
    assert.equal(code, 5, stderr);
    assert.match(stderr, /^error: vicuna-7b-delta-v1\.1 is a delta, not a base\.$/m);
    assert.match(stderr, /what now: Give LLaMA 1 7B as --base, and the delta as --delta\./);
    assert.deepEqual(hub.requests, []);
    const forced = await apply("lmsys/vicuna-7b-v1.3", "--force");
    assert.equal(forced.code, 0, forced.stderr);
  });

  test("inspect takes one, a dry run and a revision too", async (context) => {
    const { hub, apply, env, root } = await place(context);
    const commit = hub.commitOf(DELTA);
    const inspected = await runCli(["inspect", `${DELTA}@${commit}`, "--base", `hf://${BASE}`, "--json"], {
      cwd: root,
      env,
    });
    assert.equal(inspected.code, 0, inspected.stderr);
    assert.equal((JSON.parse(inspected.stdout) as { tensorCount: number }).tensorCount, 21);
    const dry = await apply("out", "--dry-run", "--delta-revision", commit, "--base-revision", "main");
    assert.equal(dry.code, 0, dry.stderr);
    assert.equal(existsSync(join(root, "out")), false);
    const unknown = await apply("out", "--delta-revision", "v9", "--json");
    assert.equal(unknown.code, 3);
    assert.match(unknown.stdout, /"code": "revision-not-found"/);
  });

  test("a target that exists is found before anything is asked", async (context) => {
    const { apply, hub } = await place(context);
    const { code, stderr } = await apply("local-base");
    assert.equal(code, 6, stderr);
    assert.deepEqual(hub.requests, []);
  });

  test("a gated base: refused before a byte of either, had with a token, which nobody prints", async (context) => {
    const { apply, hub, env, root } = await place(context, true);
    const refused = await apply("out");
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /Request access at http:\/\/\S+\/huggyllama\/llama-7b, then set HF_TOKEN\./);
    assert.ok(hub.contentRequests().every(({ range }) => range?.[1] === 1));
    const options = ["--base", BASE, "--delta", DELTA, "--target", "out", "--verbose"];
    const had = await runCli(options, { cwd: root, env: { ...env, HF_TOKEN: TOKEN } });
    assert.equal(had.code, 0, had.stderr);
    const wrong = await apply("other", "--token", "hf_mistyped", "--verbose", "--json");
    assert.equal(wrong.code, 3);
    for (const { stdout, stderr } of [had, wrong]) {
      assert.doesNotMatch(stdout + stderr, new RegExp(`${TOKEN}|hf_mistyped`));
    }
    // Neither the record nor the card nor the cache has it.
    for (const folder of ["out", "home"]) {
      const files = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
      assert.ok(files.length > 5);
      for (const file of files.filter((each) => each.isFile())) {
        assert.ok(!readFileSync(join(file.parentPath, file.name)).includes(TOKEN), file.name);
      }
    }
  });

  test("neither a path nor a repository: both readings are named", async (context) => {
    const { root, env } = await place(context);
    const args = (base: string) => ["--base", base, "--delta", "local-delta", "--target", "out"];
    const hubLike = await runCli(args("models/lama-7b"), { cwd: root, env });
    assert.equal(hubLike.code, 3);
    assert.match(hubLike.stderr, /models\/lama-7b is neither a local path nor a model on the Hub/);
    const offline = await runCli([...args("models/lama-7b"), "--offline"], { cwd: root, env });
    assert.match(offline.stderr, /is not a local path and has not been downloaded/);
  });
});

test("the environment is read as Python reads it", () => {
  const of = (env: Record<string, string>, options = {}) => hubOptionsOf(options, env);
  assert.equal(of({ HF_HOME: "/h" }).cacheFolder, join("/h", "hub"));
  assert.equal(of({ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" }).cacheFolder, "/old");
  assert.equal(of({ HF_HUB_CACHE: "$D/c", D: "/d", HUGGINGFACE_HUB_CACHE: "/old" }).cacheFolder, "/d/c");
  assert.equal(of({ HF_HUB_CACHE: "/c" }, { cacheFolder: "/mine" }).cacheFolder, "/mine");
  assert.equal(of({ XDG_CACHE_HOME: "/x" }).cacheFolder, join("/x", "huggingface", "hub"));
  assert.equal(of({ HF_HOME: "/h" }).tokenFile, join("/h", "token"));
  assert.equal(of({ HF_TOKEN_PATH: "/t" }).tokenFile, "/t");
  assert.equal(of({ HF_TOKEN: "a", HUGGING_FACE_HUB_TOKEN: "b" }).token, "a");
  assert.equal(of({ HF_TOKEN: "", HUGGING_FACE_HUB_TOKEN: "b" }).token, "b");
  assert.equal(of({ HF_TOKEN: "a" }, { token: "c" }).token, "c");
  const anonymous = of({ HF_TOKEN: "a", HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" });
  assert.deepEqual([anonymous.token, anonymous.tokenFile], [null, null]);
  for (const on of ["1", "true", "YES", "On"]) assert.equal(of({ HF_HUB_OFFLINE: on }).offline, true);
  for (const off of ["", "0", "no"]) assert.equal(of({ HF_HUB_OFFLINE: off }).offline, false);
  assert.equal(of({ TRANSFORMERS_OFFLINE: "1" }).offline, true);
  assert.equal(of({ HF_ENDPOINT: "https://mirror.test/" }).endpoint, "https://mirror.test");
  assert.equal(of({}).endpoint, undefined);
  assert.equal(of({ HF_HUB_DISABLE_XET: "1" }).useXet, false);
  assert.deepEqual(of({ HTTPS_PROXY: "a", all_proxy: "b", NO_PROXY: "c" }).proxy, {
    http: "b",
    https: "a",
    except: "c",
  });
  assert.deepEqual(of({ HF_HUB_DOWNLOAD_TIMEOUT: "30" }).transfer, { stallMs: 30_000 });
});
