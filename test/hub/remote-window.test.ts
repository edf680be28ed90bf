import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ApplyDeltaError } from "../../src/errors.js";
import { receiveThroughExchange } from "../../src/files/exchange.js";
import type { HubFile } from "../../src/hub/hub-file.js";
import { RemoteWindow } from "../../src/hub/remote-window.js";
import type { HubSession } from "../../src/hub/session.js";
import { SLOT_BYTES, SLOTS } from "../../src/hub/window-pieces.js";

test("a failure reaches those, too, for whom there was no room yet", { timeout: 10_000 }, async (context) => {
  // Waiting for shared memory keeps no process alive.
  const alive = setInterval(() => {}, 1000);
  context.after(() => clearInterval(alive));
  const reads = SLOTS + 10;
  const stop = new AbortController();
  const stopped = new Promise((_, reject) => stop.signal.addEventListener("abort", reject));
  const file = {
    entry: { byteLength: reads * SLOT_BYTES },
    async *read() {
      await stopped;
      yield new Uint8Array();
    },
  } as unknown as HubFile;
  const transfer = { connections: 8, rangeBytes: 4 * SLOT_BYTES };
  const session = { latency: { leastMs: null }, settings: { transfer } } as unknown as HubSession;
  const window = new RemoteWindow(session);
  const { exchange, file: number } = window.add(file);
  // As another thread would read.
  const remote = { exchange: { ...exchange, threadId: -1 }, file: number };
  const outcomes = Array.from({ length: reads }, (_, i) =>
    receiveThroughExchange(remote, new Uint8Array(1), i * SLOT_BYTES).catch((error: unknown) => error),
  );
  await sleep(50);
  stop.abort();
  for (const outcome of await Promise.all(outcomes)) assert.ok(outcome instanceof ApplyDeltaError);
  window.close();
});
