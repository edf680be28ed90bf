/** Addresses of the content server, which are signed for a while, and who is asked for new ones. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { applyDelta } from "../../src/apply/apply-delta.js";
import { hubRun, randomRepository } from "../support/hub-run.js";
import type { HubServer } from "../support/hub-server.js";
import { refusal } from "../support/refusal.js";
import { assertSameTarget, isData, mediumPair, streamRun } from "../support/stream-run.js";

const SIZE = 3_000_000;

/** How often the Hub was asked where the weights are. */
const questions = ({ requests }: HubServer) =>
  requests.filter(({ method, url }) => method === "HEAD" && url.includes("/resolve/")).length;

/** Lets all addresses expire now and then, in the middle of whatever is under way. */
function expireEach(hub: HubServer, count: number): () => number {
  let data = 0;
  let expiries = 0;
  hub.fault = (request) => {
    if (isData(request) && ++data % count === 0) {
      hub.expireAddresses();
      expiries++;
    }
    return undefined;
  };
  return () => expiries;
}

describe("an address that expires", { concurrency: 2 }, () => {
  test("any number of times in a download is asked for anew once, by one for all", async (context) => {
    const repository = randomRepository(SIZE);
    const run = await hubRun(context, repository);
    const expiries = expireEach(run.hub, 12);
    const { path } = await run.fetch({ transfer: { rangeBytes: 64 * 1024, connections: 4 } });
    assert.deepEqual(readFileSync(join(path, "model.safetensors")), repository.weights);
    assert.ok(expiries() >= 4, `${expiries()} expiries`);
    assert.ok(questions(run.hub) <= expiries() + 1, `${questions(run.hub)} questions`);
  });

  test("any number of times in a merge from the Hub changes nothing", async (context) => {
    const run = await streamRun(context, { ...mediumPair(), deltaOptions: { format: "torch", shards: 2 } });
    await applyDelta({ ...run.local, target: join(run.root, "expected"), skipBaseCheck: true });
    const expiries = expireEach(run.hub, 45);
    await run.stream("out");
    assertSameTarget(join(run.root, "out"), join(run.root, "expected"));
    assert.ok(expiries() >= 1, `${expiries()} expiries`);
  });
});

test("a content server that fails for a while doesn't cost the Hub a question each time", async (context) => {
  const repository = randomRepository(SIZE);
  const run = await hubRun(context, repository);
  let failures = 0;
  run.hub.fault = (request) => {
    if (!isData(request) || ++failures % 2 === 0) return undefined;
    return failures % 3 === 0 ? { kind: "reset" } : { kind: "status", status: 503 };
  };
  const { path } = await run.fetch({ transfer: { attempts: 12 } });
  assert.deepEqual(readFileSync(join(path, "model.safetensors")), repository.weights);
  assert.equal(questions(run.hub), 1);
});

test("one that refuses each new address is named, and no token is blamed", async (context) => {
  const run = await hubRun(context, randomRepository(SIZE));
  run.hub.fault = ({ at }) => (at === "content" ? { kind: "status", status: 403 } : undefined);
  const error = await refusal(() => run.fetch({ transfer: { connections: 1 } }), "hub-failure", {
    message: /^127\.0\.0\.1:\d+ refuses to send/,
    got: /^status 403 from 127/,
    hint: /firewall may block 127/,
  });
  assert.doesNotMatch(error.format(), /token|signature/);
  assert.ok(questions(run.hub) <= 3);
});

test("an address that is good for one request of a burst ends no run", async (context) => {
  const repository = randomRepository(SIZE);
  const run = await hubRun(context, repository);
  run.hub.usesOfAddress = 1;
  const rangeBytes = 128 * 1024;
  const { path } = await run.fetch({ transfer: { rangeBytes, connections: 24 } });
  assert.deepEqual(readFileSync(join(path, "model.safetensors")), repository.weights);
  assert.ok(questions(run.hub) <= SIZE / rangeBytes + 2, `${questions(run.hub)} questions`);
});

test("several new addresses in a row that bring nothing end no run that had bytes before", async (context) => {
  const repository = randomRepository(SIZE);
  const run = await hubRun(context, repository);
  let data = 0;
  run.hub.fault = (request) => {
    if (isData(request) && ++data % 40 >= 15) run.hub.expireAddresses();
    return undefined;
  };
  const { path } = await run.fetch({ transfer: { rangeBytes: 64 * 1024, connections: 4 } });
  assert.deepEqual(readFileSync(join(path, "model.safetensors")), repository.weights);
});

test("a server that refuses for good after it gave bytes is no endless loop", async (context) => {
  const run = await hubRun(context, randomRepository(SIZE));
  let data = 0;
  run.hub.fault = (request) => (isData(request) && ++data > 3 ? { kind: "status", status: 403 } : undefined);
  await refusal(() => run.fetch({ transfer: { rangeBytes: 64 * 1024 } }), "hub-failure");
  assert.ok(questions(run.hub) < 40, `${questions(run.hub)} questions`);
});
