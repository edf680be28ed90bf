/** How long a failure is waited for, by the settings of everyday and a clock of the test. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FailedRequest, HubAnswer } from "../../src/hub/answers.js";
import { createRetrier, withRetries } from "../../src/hub/retry.js";
import { completeHubSettings } from "../../src/hub/settings.js";

const HOME = "hub.test";
const MINUTE_MS = 60_000;

const refused = (host = HOME) =>
  new FailedRequest(host, Object.assign(new Error("refused"), { code: "ECONNREFUSED" }));
const status = (code: number, retryAfterMs: number | null = null, host = HOME) =>
  new HubAnswer(code, host, true, null, null, retryAfterMs);

function session() {
  let now = 0;
  const said: string[] = [];
  const clock = {
    now: () => now,
    sleep: async (milliseconds: number) => {
      now += milliseconds;
    },
  };
  const reporter = { note: (text: string) => void said.push(text), detail: () => {} };
  const { transfer } = completeHubSettings();
  const retrier = createRetrier(transfer, HOME, new AbortController().signal, reporter, clock);
  /** Makes a request that fails with `error` until `untilMs`; gives when it ended, and what it ended in. */
  const failUntil = async (untilMs: number, error: () => Error) => {
    const start = now;
    const action = () => (now - start < untilMs ? Promise.reject(error()) : Promise.resolve(null));
    const outcome = await withRetries(retrier, action).catch((failure: unknown) => failure);
    return { minutes: (now - start) / MINUTE_MS, error: outcome };
  };
  return { retrier, said, failUntil };
}

describe("a server that has answered", () => {
  test("is waited for through an outage of ten minutes, in a few lines, and its return is said", async () => {
    const { failUntil, said } = session();
    await failUntil(0, refused);
    const { error } = await failUntil(10 * MINUTE_MS, refused);
    assert.equal(error, null);
    assert.match(
      said[0] ?? "",
      /^the connection to hub\.test failed \(ECONNREFUSED\); next attempt in [\d.]+ s, giving up after 10 min 00 s without an answer\.$/,
    );
    assert.equal(said.at(-1), "hub.test answers again.");
    assert.ok(said.length <= 22, `${said.length} lines`);
  });

  for (const [name, error] of [
    ["no connection", refused],
    ["status 503", () => status(503)],
    ["status 429 without a time", () => status(429)],
  ] as const) {
    test(`is given up some time later: ${name}`, async () => {
      const { failUntil } = session();
      await failUntil(0, error);
      const { minutes, error: outcome } = await failUntil(60 * MINUTE_MS, error);
      assert.ok(minutes >= 10 && minutes < 11, `${minutes} minutes`);
      assert.ok(outcome instanceof Error);
    });
  }
});

test("where nothing ever answered, nobody waits for minutes", async () => {
  assert.ok((await session().failUntil(60 * MINUTE_MS, refused)).minutes < 0.1);
  assert.ok((await session().failUntil(60 * MINUTE_MS, () => status(503))).minutes < 1);
});

test("a server that may be blocked gets a minute, though the Hub answers", async () => {
  const { failUntil } = session();
  await failUntil(0, refused);
  const { minutes } = await failUntil(60 * MINUTE_MS, () => refused("content.test"));
  assert.ok(minutes >= 1 && minutes < 2, `${minutes} minutes`);
});

test("a pause of some minutes is kept as told, by all requests to that server", async () => {
  const { failUntil, retrier, said } = session();
  const { minutes, error } = await failUntil(1, () => status(429, 250_000));
  assert.deepEqual([minutes, error], [250 / 60, null]);
  assert.match(said[0] ?? "", /^hub\.test asks to wait: too many requests; next attempt in 4 min 10 s/);
  const [first, second] = [retrier.begin(), retrier.begin()];
  await first.failed(status(429, 100_000, "content.test"));
  const waits = await failUntil(0, refused);
  assert.equal(waits.minutes, 0);
  await second.ready("content.test");
});

test("a pause of an hour ends the run at once", async () => {
  const { minutes, error } = await session().failUntil(60 * MINUTE_MS, () => status(429, 3_600_000));
  assert.deepEqual([minutes, error instanceof HubAnswer], [0, true]);
});

test("what won't pass isn't waited for", async () => {
  for (const error of [() => status(404), () => new Error("odd")])
    assert.equal((await session().failUntil(60 * MINUTE_MS, error)).minutes, 0);
});

test("many requests may wait at once, and Node warns of no leak", async (context) => {
  const warnings: string[] = [];
  const listen = ({ message }: Error) => void warnings.push(message);
  process.on("warning", listen);
  context.after(() => process.off("warning", listen));
  const { transfer } = completeHubSettings({ transfer: { firstDelayMs: 20 } });
  const reporter = { note: () => {}, detail: () => {} };
  const retrier = createRetrier(transfer, HOME, new AbortController().signal, reporter);
  await Promise.all(
    Array.from({ length: 20 }, () => {
      let isFirst = true;
      return withRetries(retrier, () => {
        const outcome = isFirst ? Promise.reject(refused()) : Promise.resolve();
        isFirst = false;
        return outcome;
      });
    }),
  );
  assert.deepEqual(warnings, []);
});
