/** Sending to the Hub by the command line: with make and apply, by itself, refused early, stopped, gone on with. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { filesIn, tinyRepositories } from "../support/hub-run.js";
import { type HubServer, startHub, TOKEN } from "../support/hub-server.js";
import { safetensorsOf, temporaryFolder } from "../support/model-folder.js";
import { type CliResult, runCli } from "../support/run-cli.js";
import { localFiles, sortedFiles } from "../support/upload-run.js";

interface Place {
  readonly root: string;
  readonly hub: HubServer;
  readonly run: (...args: string[]) => Promise<CliResult>;
  readonly there: (repository: string) => Record<string, Buffer>;
}

async function place(context: TestContext, more: Record<string, string | undefined> = {}): Promise<Place> {
  const root = temporaryFolder(context);
  tinyRepositories(root);
  const hub = await startHub({}, context);
  const env = {
    HF_ENDPOINT: hub.url,
    HF_HOME: join(root, "home"),
    HF_HUB_OFFLINE: undefined,
    HF_TOKEN: TOKEN,
    ...more,
  };
  return {
    root,
    hub,
    run: (...args) => runCli(args, { cwd: root, env }),
    there(repository) {
      const { ".gitattributes": _, ...files } = hub.repositories[repository]?.files ?? {};
      return files;
    },
  };
}

const APPLY = ["--base", "local-base", "--delta", "local-delta", "--target", "tuned"];

interface UploadDocument {
  readonly repository: string;
  readonly commit: string;
  readonly sent: readonly string[];
}

describe("sending what was made", { concurrency: 2 }, () => {
  test("apply, make from what was sent, apply from what was sent: the tuned model comes back", async (context) => {
    const { root, hub, run, there } = await place(context);
    const applied = await run(...APPLY, "--checksums", "--upload", "owner/tuned", "--private", "--json");
    assert.equal(applied.code, 0, applied.stderr);
    const document = JSON.parse(applied.stdout) as { target: string; upload: UploadDocument };
    assert.equal(document.target, join(root, "tuned"));
    assert.equal(document.upload.commit, hub.commitOf("owner/tuned"));
    assert.equal(hub.repositories["owner/tuned"]?.isPrivate, true);
    assert.deepEqual(sortedFiles(there("owner/tuned")), localFiles(join(root, "tuned")));
    assert.ok("SHA256SUMS" in there("owner/tuned") && "README.md" in there("owner/tuned"));
    assert.match(
      applied.stderr,
      /^making the private repository owner\/tuned on the Hub\.\nsending [\d.]+ kB in \d+ files to owner\/tuned\.$/m,
    );

    // FastChat's names.
    const made = await run(
      ...["make", "--base-model-path", "local-base", "--target-model-path", "owner/tuned"],
      ...["--delta-path", "delta", "--hub-repo-id", "club/delta", "--message", "Our delta"],
    );
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /^ {2}upload {4}http:\S+\/club\/delta \(public\), commit \w{12}$/m);
    assert.match(made.stdout, /^ {12}\d+ files sent \([\d.]+ kB in [\d.]+ s, [\d.]+ [kM]?B\/s\)$/m);
    assert.deepEqual(hub.uploads.commits, ["Upload tuned with vicuna-apply-delta", "Our delta"]);
    assert.deepEqual(sortedFiles(there("club/delta")), localFiles(join(root, "delta")));

    const back = await run("--base", "local-base", "--delta", "club/delta", "--target", "back");
    assert.equal(back.code, 0, back.stderr);
    const weights = (folder: string) => filesIn(join(root, folder))["model.safetensors"];
    assert.deepEqual(weights("back"), weights("tuned"));
    for (const { stdout, stderr } of [applied, made, back]) assert.ok(!(stdout + stderr).includes(TOKEN));
  });

  test("what is wrong with the upload is said before anything is made", async (context) => {
    const { root, hub, run } = await place(context, { HF_TOKEN: undefined });
    for (const [more, code, says] of [
      [["--upload", "owner/tuned"], 6, /^error: The upload needs a token/],
      [["--upload", "owner/tuned", "--token", "hf_mistyped"], 6, /^error: The Hub rejects the token/],
      [["--upload", "other/tuned", "--token", TOKEN], 6, /can't write to this owner's repositories/],
      [["--upload", "tuned", "--token", TOKEN], 2, /name of the repository is malformed/],
      [["--upload", "owner/tuned", "--token", TOKEN, "--offline"], 2, /An upload is impossible offline/],
      [["--private"], 2, /--private needs --upload/],
      [["--message", "hello"], 2, /--message needs --upload/],
    ] as const) {
      const { code: got, stderr, stdout } = await run(...APPLY, ...more, "--verbose");
      assert.equal(got, code, stderr);
      assert.match(stderr, says);
      assert.ok(!(stdout + stderr).includes(TOKEN) && !stderr.includes("hf_mistyped"));
      assert.ok(!existsSync(join(root, "tuned")));
    }
    assert.deepEqual(hub.repositories, {});
  });

  test("a dry run asks, and makes nothing, here or there", async (context) => {
    const { root, hub, run } = await place(context);
    const dry = await run(...APPLY, "--upload", "owner/tuned", "--dry-run");
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stderr, /^it would be sent to owner\/tuned on the Hub\.$/m);
    assert.ok(!existsSync(join(root, "tuned")));
    assert.deepEqual(hub.repositories, {});
    assert.equal((await run(...APPLY, "--upload", "other/tuned", "--dry-run")).code, 6);
  });

  test("an upload that fails leaves the folder, and says how to go on; that works", async (context) => {
    const { root, hub, run, there } = await place(context);
    hub.fault = ({ url }) => (url.includes("/commit/") ? { kind: "status", status: 403 } : undefined);
    const options = ["--upload", "owner/tuned", "--message", "it's mine", "--private"];
    const failed = await run(...APPLY, ...options);
    assert.equal(failed.code, 6, failed.stderr);
    const folder = join(root, "tuned");
    const command = `vicuna-apply-delta upload ${folder} owner/tuned --private --message 'it'\\''s mine'`;
    assert.ok(
      failed.stderr.includes(`The folder is made, and whole. To send it: ${command}\n`),
      failed.stderr,
    );

    const again = await run(...APPLY, ...options);
    assert.equal(again.code, 6);
    assert.ok(again.stderr.includes(`To send it: ${command}\n`), "the folder is made already");
    const other = await run(...APPLY, ...options, "--dtype", "float32");
    assert.match(
      other.stderr,
      /The folder to make exists.*\n[\s\S]*To send the folder that exists: vicuna-apply-delta upload tuned owner\/tuned --private/,
    );

    hub.fault = () => undefined;
    const sent = await run("upload", folder, "owner/tuned", "--private", "--message", "it's mine", "--json");
    assert.equal(sent.code, 0, sent.stderr);
    assert.deepEqual((JSON.parse(sent.stdout) as { skipped: string[] }).skipped, ["model.safetensors"]);
    assert.deepEqual(sortedFiles(there("owner/tuned")), localFiles(folder));
    assert.deepEqual(hub.uploads.commits, ["it's mine"]);
    const quiet = await run("upload", folder, "owner/tuned", "--quiet");
    assert.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [0, "", ""]);
  });
});

test("stopped in the middle, the same command goes on: what arrived whole isn't sent again", async (context) => {
  const { root, hub, run, there } = await place(context);
  const header = (name: string) => ({ [name]: { dtype: "F16", shape: [2e6], data_offsets: [0, 4e6] } });
  const folder = join(root, "large");
  const shard = (i: number) => safetensorsOf(JSON.stringify(header(`t${i}`)), Buffer.alloc(4e6, i));
  const names = [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`);
  mkdirSync(folder);
  for (const [i, name] of names.entries()) writeFileSync(join(folder, name), shard(i));
  const map = Object.fromEntries(names.map((name, i) => [`t${i}`, name]));
  writeFileSync(
    join(folder, "model.safetensors.index.json"),
    JSON.stringify({ metadata: {}, weight_map: map }),
  );

  const puts = () => hub.requests.filter(({ method }) => method === "PUT");
  // The third never ends, and Ctrl-C comes once the other two are there.
  hub.fault = ({ method }) =>
    method === "PUT" && puts().length > 2 ? { kind: "stall", afterBytes: 1e6 } : undefined;
  const args = ["upload", "large", "owner/large"];
  const env = {
    HF_ENDPOINT: hub.url,
    HF_HOME: join(root, "home"),
    HF_HUB_OFFLINE: undefined,
    HF_TOKEN: TOKEN,
  };
  const stopped = await runCli(args, {
    cwd: root,
    env,
    whileRunning(child) {
      const timer = setInterval(() => {
        if (hub.uploads.objects.size < 2 || puts().length < 3) return;
        clearInterval(timer);
        child.kill("SIGINT");
      }, 5);
      timer.unref();
    },
  });
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.match(
    stopped.stderr,
    /what now: Run the same command again: files that arrived whole aren't sent again\./,
  );
  assert.deepEqual(there("owner/large"), {});

  hub.fault = () => undefined;
  hub.requests.length = 0;
  const done = await run(...args);
  assert.equal(done.code, 0, done.stderr);
  assert.equal(puts().length, 1);
  assert.match(done.stdout, /2 files \(8\.00 MB\) already there$/m);
  assert.deepEqual(sortedFiles(there("owner/large")), localFiles(folder));
});

test("a connection that can't be had: the hint says that the same command goes on", async (context) => {
  const { hub, run } = await place(context);
  await hub.close();
  const { code, stderr, stdout } = await run("upload", "local-base", "owner/tuned", "--json");
  assert.equal(code, 6, stderr);
  assert.match(stderr, /Then run the same command again: files that arrived whole aren't sent again\./);
  assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, "upload-unreachable");
});
