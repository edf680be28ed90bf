/** Outages and rate windows of a Hub, 600 times as fast as in life: a minute is 100 ms. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type HubRun, hubRun, randomRepository } from "../support/hub-run.js";
import { refusal } from "../support/refusal.js";
import { isData } from "../support/stream-run.js";

const SIZE = 3_000_000;
const MINUTE_MS = 100;

/** The defaults of everyday, but for pauses in whole seconds, which a server may still ask for. */
const LIFE = {
  attempts: 6,
  patienceMs: 10 * MINUTE_MS,
  firstDelayMs: 1,
  longestDelayMs: MINUTE_MS / 2,
  rangeBytes: 64 * 1024,
};

interface PatientRun extends HubRun {
  readonly said: string[];
  /** Downloads, and makes sure of the bytes. */
  download(): Promise<void>;
}

/** `after` so many requests for weights, `happen` is called once. */
async function patientRun(context: TestContext, after: number, happen: (run: HubRun) => void) {
  const repository = randomRepository(SIZE);
  const run = await hubRun(context, repository);
  const said: string[] = [];
  let data = 0;
  run.hub.fault = (request) => {
    if (isData(request) && ++data === after) happen(run);
    return undefined;
  };
  const download = async () => {
    const { path } = await run.fetch({ transfer: LIFE, said });
    assert.deepEqual(readFileSync(join(path, "model.safetensors")), repository.weights);
  };
  return { ...run, said, download } satisfies PatientRun;
}

describe("a download goes through", { concurrency: 4 }, () => {
  for (const [what, servers] of [
    ["of the Hub and its storage", ["hub", "content"]],
    ["of the storage", ["content"]],
  ] as const) {
    test(`an outage of six minutes ${what}`, async (context) => {
      const run = await patientRun(context, 10, ({ hub }) => hub.weather.outage(6 * MINUTE_MS, servers));
      await run.download();
      assert.ok(run.said.some((line) => /failed \(.+\); next attempt in .+, giving up after/.test(line)));
    });
  }

  test("several outages", async (context) => {
    const run = await patientRun(context, 10, ({ hub }) => {
      hub.weather.outage(3 * MINUTE_MS);
      setTimeout(() => hub.weather.outage(3 * MINUTE_MS), 4 * MINUTE_MS);
    });
    await run.download();
  });

  for (const [tells, windowMs] of [
    ["nothing", 5 * MINUTE_MS],
    ["retry-after", 5 * MINUTE_MS],
    ["ratelimit", 900],
  ] as const) {
    test(`windows of a rate limit whose end is told by ${tells}`, async (context) => {
      const limit = { server: "content", requests: 30, windowMs, tells } as const;
      const run = await patientRun(context, 5, ({ hub }) => hub.weather.limitRate(limit));
      await run.fetch({
        transfer: { ...LIFE, patienceMs: Math.max(LIFE.patienceMs, 2_000) },
        said: run.said,
      });
      const refused = run.hub.requests.filter(({ at, sentBytes }) => at === "content" && sentBytes === 0);
      assert.ok(refused.length > 0);
      // A pause that was told is kept by all connections: each window costs no more refusals than are under way.
      if (tells !== "nothing") assert.ok(refused.length <= 2 * 4, `${refused.length} refusals`);
    });
  }
});

test("an outage that is too long says what is kept; the same command fetches only the rest", async (context) => {
  const run = await patientRun(context, 30, ({ hub }) => hub.weather.outage(60 * MINUTE_MS));
  const error = await refusal(run.download, "no-network");
  assert.match(String(error.details.hint), /Run the same command again: it resumes where it stopped\.$/);
  const sent = () => run.hub.contentRequests().reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  const before = sent();
  run.hub.weather.outage(0);
  await run.download();
  assert.ok(sent() - before < SIZE - 20 * LIFE.rangeBytes, `${sent() - before} bytes again`);
});

test("a window of a rate limit that ends too late is an error at once, and says when to come back", async (context) => {
  const limit = { server: "hub", requests: 0, windowMs: 3_600_000, tells: "ratelimit" } as const;
  const run = await patientRun(context, 0, () => {});
  run.hub.weather.limitRate(limit);
  await refusal(run.download, "rate-limited", { hint: /^Wait 60 minutes\. Run the same command again/ });
});
