/** Downloads that are disturbed: what arrives in the end is right, and nothing is fetched twice without need. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { RepositoryCache } from "../../src/hub/cache.js";
import { type HubRun, hubRun, QUICK, REPOSITORY, randomRepository } from "../support/hub-run.js";
import { type Fault, type RecordedRequest, sha256 } from "../support/hub-server.js";
import { seededNormals } from "../support/numbers.js";
import { refusal } from "../support/refusal.js";

const SIZE = 4_000_003;

interface Started extends HubRun {
  readonly weights: Buffer;
  readonly weightsPath: (model: { readonly path: string }) => string;
}

async function start(context: TestContext, byteLength = SIZE): Promise<Started> {
  const repository = randomRepository(byteLength);
  const run = await hubRun(context, repository);
  return {
    ...run,
    weights: repository.weights,
    weightsPath: ({ path }) => join(path, "model.safetensors"),
  };
}

/** Requests for more than the one byte that asks for access. */
const isData = ({ at, range }: RecordedRequest) => at === "content" && range !== null && range[1] > 1;

const sentBytes = ({ hub }: HubRun) =>
  hub.requests.filter(isData).reduce((sum, request) => sum + request.sentBytes, 0);

/** A fault for the first so many requests for data. */
function firstOf(count: number, fault: (i: number) => Fault) {
  let i = 0;
  return (request: RecordedRequest) => (isData(request) && i < count ? fault(i++) : undefined);
}

describe("a download", { concurrency: 2 }, () => {
  test("is made of several ranges at once, and leaves nothing but the blob", async (context) => {
    const run = await start(context);
    run.hub.fault = (request) => (isData(request) ? { kind: "throttle", bytesPerSecond: 5e6 } : undefined);
    const model = await run.fetch();
    assert.deepEqual(readFileSync(run.weightsPath(model)), run.weights);
    assert.equal(sentBytes(run), SIZE);
    assert.ok(run.hub.mostAtOnce > 1, `${run.hub.mostAtOnce} at once`);
    const blobs = readdirSync(join(run.cacheFolder, "models--owner--model", "blobs"));
    assert.equal(blobs.length, 2);
    assert.ok(blobs.includes(sha256(run.weights)));
  });

  test("cut at 20 random points ends the same, with no byte fetched twice", async (context) => {
    const run = await start(context);
    const normal = seededNormals(7);
    const at = () => Math.floor(Math.abs(normal()) * 100_000);
    run.hub.fault = firstOf(20, () => ({ kind: "drop", afterBytes: at() }));
    const model = await run.fetch({ transfer: { attempts: 25 } });
    assert.deepEqual(readFileSync(run.weightsPath(model)), run.weights);
    // What lay in a socket when it broke may be lost.
    assert.ok(sentBytes(run) <= SIZE + 20 * 64 * 1024, `${sentBytes(run)} bytes for ${SIZE}`);
  });

  test("stopped up to 20 times, each run going on where the last stopped", async (context) => {
    const run = await start(context);
    let stops = 0;
    let isWhole = false;
    while (stops < 20 && !isWhole) {
      const stop = new AbortController();
      let budget = 1 + Math.floor((SIZE / 25) * (stops % 3) * 0.9);
      run.hub.fault = (request) => {
        if (!isData(request)) return undefined;
        budget -= 100_000;
        if (budget < 0) stop.abort();
        return { kind: "throttle", bytesPerSecond: 5e6 };
      };
      const outcome = await run.fetch({ signal: stop.signal }).catch((error: unknown) => error);
      // On a busy machine the last bytes may arrive before the stop is seen.
      isWhole = !(outcome instanceof Error);
      if (isWhole) break;
      await refusal(() => Promise.reject(outcome), "interrupted", { hint: /resumes where it stopped/ });
      stops += 1;
    }
    assert.ok(stops >= 3, `${stops} stops`);
    run.hub.fault = () => undefined;
    const said: string[] = [];
    const model = await run.fetch({ said });
    if (!isWhole) {
      assert.ok(
        said.some((line) => /of which .* arrived in an earlier run/.test(line)),
        said.join("\n"),
      );
    }
    assert.deepEqual(readFileSync(run.weightsPath(model)), run.weights);
    const perStop = 4 * 128 * 1024;
    assert.ok(sentBytes(run) <= SIZE + stops * perStop, `${sentBytes(run)} bytes for ${SIZE}`);
  });

  for (const [name, fault, count] of [
    ["stalls", { kind: "stall", afterBytes: 1000 }, 2],
    ["answers that end early", { kind: "truncate", afterBytes: 1000 }, 3],
    ["errors of the server", { kind: "status", status: 503 }, 3],
    ["a rate limit", { kind: "status", status: 429, headers: { "retry-after": "0.05" } }, 3],
    ["signatures that expire", { kind: "status", status: 403 }, 1],
  ] as const) {
    test(`survives ${name}`, async (context) => {
      const run = await start(context, 1_000_000);
      run.hub.fault = firstOf(count, () => fault);
      const model = await run.fetch();
      assert.deepEqual(readFileSync(run.weightsPath(model)), run.weights);
    });
  }

  test("asks for a new address when the signed one is too old", async (context) => {
    const run = await start(context);
    run.hub.validSignatures = 0;
    const model = await run.fetch({ transfer: { connections: 1 } });
    assert.deepEqual(readFileSync(run.weightsPath(model)), run.weights);
  });

  for (const [name, fault, code, detail] of [
    ["a connection that always breaks", { kind: "drop", afterBytes: 0 }, "no-network", /keeps breaking/],
    ["a server that always fails", { kind: "status", status: 500 }, "hub-failure", /can't send/],
    ["a rate limit that stays", { kind: "status", status: 429 }, "rate-limited", /too many requests/],
    [
      "a rate limit of an hour",
      { kind: "status", status: 429, headers: { ratelimit: '"api";r=0;t=3600' } },
      "rate-limited",
      /too many/,
    ],
    ["a server without ranges", { kind: "status", status: 200 }, "hub-failure", /understood/],
  ] as const) {
    test(`${name} is given up, and the file named`, async (context) => {
      const run = await start(context, 1_000_000);
      let failures = 0;
      run.hub.fault = (request) => {
        if (!isData(request) || request.range?.[0] === 0) return undefined;
        failures++;
        return fault;
      };
      await refusal(() => run.fetch({ transfer: { connections: 1 } }), code, {
        message: detail,
        file: `${REPOSITORY}/model.safetensors`,
      });
      assert.ok(failures <= (QUICK.attempts ?? 0) + 1, `${failures} attempts`);
    });
  }

  test("damaged once, it is fetched once more; damaged twice, it is an error", async (context) => {
    const run = await start(context, 100_000);
    run.hub.fault = firstOf(1, () => ({ kind: "corrupt" }));
    const said: string[] = [];
    const model = await run.fetch({ said });
    assert.deepEqual(readFileSync(run.weightsPath(model)), run.weights);
    assert.ok(said.some((line) => /arrived damaged; downloading it once more/.test(line)));

    const again = await start(context, 100_000);
    again.hub.fault = firstOf(99, () => ({ kind: "corrupt" }));
    await refusal(() => again.fetch(), "download-damaged", {
      file: `${REPOSITORY}/model.safetensors`,
      expected: `SHA-256 ${sha256(again.weights)}`,
      got: /^[0-9a-f]{64}$/,
    });
    assert.equal(again.hub.requests.filter(isData).length, 2);
    const cache = new RepositoryCache(again.cacheFolder, REPOSITORY);
    assert.equal(existsSync(cache.blobPath(sha256(again.weights))), false);
    assert.equal(cache.sizeOf(again.hub.commitOf(REPOSITORY), "model.safetensors"), null);
  });

  test("a small file is checked by git's hash", async (context) => {
    const run = await start(context, 100_000);
    run.hub.fault = ({ url }) => (url.endsWith("/config.json") ? { kind: "corrupt" } : undefined);
    await refusal(() => run.fetch(), "download-damaged", { expected: /^git's SHA-1 / });
  });

  test("goes on with Python's beginning, unless Python may be writing it", async (context) => {
    for (const [age, isTaken] of [
      [3600, true],
      [0, false],
    ] as const) {
      const run = await start(context);
      const cache = new RepositoryCache(run.cacheFolder, REPOSITORY);
      const theirs = `${cache.blobPath(sha256(run.weights))}.incomplete`;
      mkdirSync(dirname(theirs), { recursive: true });
      writeFileSync(theirs, run.weights.subarray(0, 3_000_000));
      const time = Date.now() / 1000 - age;
      utimesSync(theirs, time, time);
      const model = await run.fetch();
      assert.deepEqual(readFileSync(run.weightsPath(model)), run.weights);
      assert.equal(sentBytes(run), isTaken ? SIZE - 3_000_000 : SIZE);
      assert.equal(existsSync(theirs), !isTaken);
    }
  });

  test("a note that is wrong or of something else costs a new start and nothing more", async (context) => {
    const run = await start(context, 300_000);
    const blob = new RepositoryCache(run.cacheFolder, REPOSITORY).blobPath(sha256(run.weights));
    mkdirSync(dirname(blob), { recursive: true });
    const notes = [
      "",
      "{",
      '{"byteLength":1,"ranges":[[0,1]]}',
      '{"byteLength":300000,"ranges":[[0,999999999]]}',
    ];
    for (const note of [...notes, '{"byteLength":300000,"ranges":[[-1,5]]}', "[1]"]) {
      writeFileSync(`${blob}.ranges.part`, "rubbish");
      writeFileSync(`${blob}.ranges.json`, note);
      const model = await run.fetch();
      assert.deepEqual(readFileSync(run.weightsPath(model)), run.weights, note);
      rmSync(run.cacheFolder, { recursive: true });
      mkdirSync(dirname(blob), { recursive: true });
    }
  });

  for (const useLinks of [true, false])
    test(`two runs at once share the work and the file, links ${useLinks}`, async (context) => {
      const run = await start(context);
      run.hub.fault = (request) => (isData(request) ? { kind: "throttle", bytesPerSecond: 4e6 } : undefined);
      const models = await Promise.all([run.fetch({ useLinks }), run.fetch({ useLinks })]);
      for (const model of models) assert.deepEqual(readFileSync(run.weightsPath(model)), run.weights);
      assert.equal(sentBytes(run), SIZE);
    });
});
