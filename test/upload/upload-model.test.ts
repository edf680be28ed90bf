/** A folder sent to a Hub on loopback: whole, in parts, cut off and gone on with, and where the token goes. */
import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { ProgressUpdate } from "../../src/progress.js";
import { silentReporter } from "../../src/progress.js";
import { filesIn } from "../support/hub-run.js";
import { type Fault, type RecordedRequest, sha256, TOKEN } from "../support/hub-server.js";
import { tinyPair, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { DESTINATION, localFiles, sortedFiles, uploadRun } from "../support/upload-run.js";

const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/** Every PUT of the `count`th object, in order of appearance, fails like this. */
const faultOnPut = (fault: Fault, isWanted: (nth: number) => boolean) => {
  let count = 0;
  return ({ method }: RecordedRequest) => (method === "PUT" && isWanted(++count) ? fault : undefined);
};

describe("an upload", { concurrency: 4 }, () => {
  for (const partBytes of [Number.POSITIVE_INFINITY, 10_000]) {
    test(`in ${Number.isFinite(partBytes) ? "parts" : "one piece"}: the repository holds the folder, byte for byte`, async (context) => {
      const { hub, folder, upload, there } = await uploadRun(context);
      hub.uploads.partBytes = partBytes;
      const summary = await upload({ message: "the first" });
      assert.deepEqual(sortedFiles(there()), localFiles(folder));
      assert.deepEqual(hub.uploads.commits, ["the first"]);
      const { seconds, ...rest } = summary;
      assert.ok(seconds > 0);
      const bytesSent = localFiles(folder).reduce((sum, [, bytes]) => sum + bytes.length, 0);
      assert.deepEqual(rest, {
        repository: DESTINATION,
        url: `${hub.url}/${DESTINATION}`,
        private: false,
        commit: hub.commitOf(DESTINATION),
        pullRequest: null,
        commitUrl: `${hub.url}/${DESTINATION}/commit/${hub.commitOf(DESTINATION)}`,
        sent: localFiles(folder).map(([name]) => name),
        ...{ skipped: [], removed: [], bytesSent, bytesSkipped: 0 },
      });
    });
  }

  test("the token goes to the Hub, with every request, and to no storage", async (context) => {
    const { hub, upload } = await uploadRun(context);
    hub.uploads.partBytes = 10_000;
    await upload();
    const authorizations = (at: string) =>
      new Set(hub.requests.filter((request) => request.at === at).map(({ authorization }) => authorization));
    assert.deepEqual(authorizations("hub"), new Set([`Bearer ${TOKEN}`]));
    assert.deepEqual(authorizations("content"), new Set([undefined]));
    assert.ok(hub.contentRequests().every(({ url }) => !url.includes(TOKEN)));
  });

  test("what isn't a model's stays here, and what is there of others stays there", async (context) => {
    const notes = { "notes.txt": Buffer.from("mine"), ".gitattributes": Buffer.from("x") };
    const { folder, upload, there } = await uploadRun(context, { [DESTINATION]: { files: notes } });
    writeFileSync(join(folder, "secret.env"), "no");
    await upload();
    assert.ok(!("secret.env" in there()));
    assert.equal(there()["notes.txt"]?.toString(), "mine");
  });

  test("sent again: nothing moves, and there is no new commit", async (context) => {
    const { hub, folder, upload, puts } = await uploadRun(context);
    const first = await upload();
    hub.requests.length = 0;
    const again = await upload();
    assert.equal(again.commit, first.commit);
    assert.deepEqual([again.sent, again.bytesSent, puts().length], [[], 0, 0]);
    assert.deepEqual(
      again.skipped,
      localFiles(folder).map(([name]) => name),
    );
    assert.equal(hub.uploads.commits.length, 1);
    assert.ok(hub.requests.every(({ url }) => !/\/(?:commit|batch|create)/.test(url)));
  });

  test("private is asked for before a byte is there", async (context) => {
    const { hub, upload } = await uploadRun(context);
    assert.equal((await upload({ private: true })).private, true);
    assert.equal(hub.repositories[DESTINATION]?.isPrivate, true);
  });

  test("another model is replaced only where that is asked for, and leaves no stale file", async (context) => {
    const { folder, hub, upload, there } = await uploadRun(context);
    await upload();
    rmSync(folder, { recursive: true });
    writeModel(folder, tinyPair(7).base);
    const error = await refusal(() => upload(), "repository-occupied", {
      file: DESTINATION,
      got: /config\.json/,
    });
    assert.match(error.details.hint ?? "", /upload <folder> owner\/tuned --overwrite/);
    assert.equal(hub.uploads.commits.length, 1);
    const { removed } = await upload({ overwrite: true });
    assert.deepEqual(removed, [...SHARDS, "model.safetensors.index.json"].sort());
    assert.deepEqual(sortedFiles(there()), localFiles(folder));
    assert.equal(hub.uploads.commits.length, 2);
  });

  test("progress counts what is sent, not what was sent in vain, and ends at the whole", async (context) => {
    const { hub, folder, upload } = await uploadRun(context);
    const updates: ProgressUpdate[] = [];
    hub.uploads.partBytes = 10_000;
    // Sent in vain, and so not counted.
    hub.fault = faultOnPut({ kind: "drop", afterBytes: 5_000 }, (nth) => nth <= 2);
    await upload({ reporter: { ...silentReporter, progress: (update) => void updates.push(update) } });
    const total = SHARDS.reduce((sum, name) => sum + (filesIn(folder)[name]?.length ?? 0), 0);
    const uploading = updates.filter(({ activity }) => activity === "uploading");
    assert.ok(uploading.length > 0);
    for (const { bytesDone, bytesTotal } of uploading) {
      assert.equal(bytesTotal, total);
      assert.ok(bytesDone >= 0 && bytesDone <= total, `${bytesDone}`);
    }
    assert.equal(uploading.at(-1)?.bytesDone, total);
  });
});

describe("when something goes wrong", { concurrency: 4 }, () => {
  const PASSING: readonly [string, Fault][] = [
    ["the connection drops", { kind: "drop", afterBytes: 5_000 }],
    ["nothing moves any more", { kind: "stall", afterBytes: 5_000 }],
    ["the storage has an error", { kind: "status", status: 500 }],
    ["the storage asks to wait", { kind: "status", status: 429, headers: { "retry-after": "0.01" } }],
  ];
  for (const [name, fault] of PASSING) {
    test(`${name}: that file is sent again, and all is well`, async (context) => {
      const { hub, folder, upload, there, puts } = await uploadRun(context);
      hub.fault = faultOnPut(fault, (nth) => nth === 1);
      const { bytesSent } = await upload();
      assert.equal(puts().length, SHARDS.length + 1);
      assert.deepEqual(sortedFiles(there()), localFiles(folder));
      assert.equal(
        bytesSent,
        localFiles(folder).reduce((sum, [, bytes]) => sum + bytes.length, 0),
      );
    });
  }

  for (const [what, pattern] of [
    ["the commit", /\/commit\/main$/],
    ["the question what is missing", /\/objects\/batch$/],
    ["the question what is large", /\/preupload\/main$/],
    ["the joining of parts", /\/complete\//],
    ["the making of the repository", /\/repos\/create$/],
    ["the question who it is", /\/whoami-v2$/],
  ] as const) {
    test(`an error of the server at ${what} is tried again`, async (context) => {
      const { hub, folder, upload, there } = await uploadRun(context);
      hub.uploads.partBytes = 10_000;
      let failures = 0;
      hub.fault = ({ url }) =>
        pattern.test(url) && ++failures <= 2 ? { kind: "status", status: 502 } : undefined;
      await upload();
      assert.ok(failures > 2);
      assert.deepEqual(sortedFiles(there()), localFiles(folder));
    });
  }

  test("cut off for good: nothing is committed; run again, shards that arrived aren't sent again", async (context) => {
    const { hub, folder, upload, there, puts } = await uploadRun(context);
    const second = sha256(filesIn(folder)[SHARDS[1] ?? ""] ?? Buffer.alloc(0));
    hub.fault = ({ method, url }) =>
      method === "PUT" && url.includes(second) ? { kind: "drop", afterBytes: 100 } : undefined;
    await refusal(() => upload(), "upload-unreachable", { file: DESTINATION, got: /./ });
    assert.deepEqual(there(), {});
    assert.deepEqual(hub.uploads.commits, []);
    assert.equal(hub.uploads.objects.size, 1);

    hub.fault = () => undefined;
    hub.requests.length = 0;
    const { sent, skipped, bytesSkipped } = await upload();
    assert.deepEqual(
      puts().map(({ url }) => url.includes(second)),
      [true],
    );
    assert.deepEqual(skipped, [SHARDS[0]]);
    assert.equal(bytesSkipped, filesIn(folder)[SHARDS[0] ?? ""]?.length);
    assert.ok(sent.includes(SHARDS[1] ?? ""));
    assert.deepEqual(sortedFiles(there()), localFiles(folder));
  });

  for (const stage of ["/objects/batch", "/upload/", "/commit/main", "/whoami-v2"]) {
    test(`interrupted at ${stage}: a typed error, and nothing is committed`, async (context) => {
      const { hub, upload, there } = await uploadRun(context);
      const controller = new AbortController();
      hub.fault = ({ url }) => {
        if (!url.includes(stage)) return undefined;
        controller.abort();
        return { kind: "stall", afterBytes: 0 };
      };
      await refusal(() => upload({ signal: controller.signal }), "interrupted", {
        hint: /aren't sent again/,
      });
      assert.deepEqual(there(), {});
    });
  }

  test("interrupted before it begins", async (context) => {
    const { hub, upload } = await uploadRun(context);
    await refusal(() => upload({ signal: AbortSignal.abort() }), "interrupted");
    assert.deepEqual(hub.requests, []);
  });

  test("large files go a few at a time, in order: what is cut off leaves whole files", async (context) => {
    const { hub, folder, upload, puts } = await uploadRun(context);
    rmSync(folder, { recursive: true });
    writeModel(folder, tinyPair().base, { shards: 6 });
    hub.uploads.partBytes = 2_000;
    const large = readdirSync(folder)
      .filter((name) => (filesIn(folder)[name]?.length ?? 0) > 4096)
      .sort();
    await upload();
    const order = puts().map(({ url }) =>
      large.findIndex((name) => url.includes(sha256(filesIn(folder)[name] ?? Buffer.alloc(0)))),
    );
    assert.ok(large.length > 3, `${large}`);
    order.forEach((file, i) => {
      const unfinished = order
        .slice(i)
        .filter((other) => order.slice(0, i).includes(other) && other !== file);
      assert.ok(new Set(unfinished).size < 2, order.join(" "));
    });
  });
});
