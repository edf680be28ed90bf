/** What the reporter writes to a stream that is a terminal and to one that isn't. The clock is the test's. */
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { type TestContext, test } from "node:test";
import { createStreamReporter, type StreamReporterOptions } from "../../src/cli/stream-reporter.js";
import { type Reporter, silentReporter } from "../../src/progress.js";

interface Fake {
  readonly reporter: Reporter;
  /** Everything written so far. */
  readonly written: () => string;
  /** Lets time pass, in milliseconds. */
  readonly wait: (milliseconds: number) => void;
  readonly interrupt: () => void;
}

function fake(
  context: TestContext,
  { columns, ...options }: Partial<StreamReporterOptions> & { columns?: number } = {},
): Fake {
  let now = 1000;
  context.mock.method(performance, "now", () => now);
  context.mock.method(Date, "now", () => now);
  // Not node:test's timers, of which Node 20 warns. The bar has one timer at most.
  let timer = { at: Number.POSITIVE_INFINITY, run: () => {} };
  const setTimer = (run: () => void, delayMs = 0) => {
    timer = { at: now + delayMs, run };
    return 1;
  };
  context.mock.method(globalThis, "setTimeout", setTimer as never);
  context.mock.method(globalThis, "clearTimeout", () => {
    timer.at = Number.POSITIVE_INFINITY;
  });
  let text = "";
  const stream = Object.assign(new PassThrough(), { isTTY: columns !== undefined, columns });
  stream.on("data", (chunk: Buffer) => {
    text += chunk;
  });
  const controller = new AbortController();
  const reporter = createStreamReporter({
    stream: stream as unknown as NodeJS.WriteStream,
    level: "normal",
    showProgress: true,
    signal: controller.signal,
    variables: {},
    ...options,
  });
  return {
    reporter,
    written: () => text,
    interrupt: () => controller.abort(),
    wait: (milliseconds) => {
      const end = now + milliseconds;
      while (timer.at <= end) {
        now = timer.at;
        const { run } = timer;
        timer.at = Number.POSITIVE_INFINITY;
        run();
      }
      now = end;
    },
  };
}

const TOTAL = 10e9;
const update = (bytesDone: number, shard = 1) => ({
  activity: "merging" as const,
  bytesDone,
  bytesTotal: TOTAL,
  current: `model-0000${shard}-of-00003.safetensors`,
});

function speak(reporter: Reporter): void {
  reporter.detail("a detail");
  reporter.note("a note");
  reporter.warn("it may be wrong");
}

for (const [level, text] of [
  ["quiet", "warning: it may be wrong\n"],
  ["normal", "a note\nwarning: it may be wrong\n"],
  ["verbose", "a detail\na note\nwarning: it may be wrong\n"],
] as const) {
  test(`${level} says what it should`, (context) => {
    const { reporter, written } = fake(context, { level });
    speak(reporter);
    assert.equal(written(), text);
  });
}

test("without a terminal: a line every five seconds", (context) => {
  const { reporter, written, wait } = fake(context);
  for (let step = 0; step <= 120; step++) {
    reporter.progress(update(step * 5e7, step < 100 ? 1 : 2));
    wait(100);
  }
  reporter.progressDone();
  assert.equal(
    written(),
    [
      "25%  2.50 GB of 10.0 GB, 500 MB/s, 15 s left  model-00001-of-00003.safetensors",
      "50%  5.00 GB of 10.0 GB, 500 MB/s, 10 s left  model-00002-of-00003.safetensors",
      "",
    ].join("\n"),
  );
});

test("without a terminal: a short merge writes no line", (context) => {
  const { reporter, written, wait } = fake(context);
  for (let step = 0; step <= 40; step++) {
    reporter.progress(update((TOTAL * step) / 40));
    wait(100);
  }
  reporter.progressDone();
  assert.equal(written(), "");
});

for (const options of [{ showProgress: false }, { level: "quiet" }] as const) {
  for (const columns of [undefined, 80]) {
    const where = columns === undefined ? "a pipe" : "a terminal";
    test(`${JSON.stringify(options)} on ${where}: no progress`, (context) => {
      const { reporter, written, wait } = fake(
        context,
        columns === undefined ? options : { ...options, columns },
      );
      for (let step = 0; step <= 200; step++) {
        reporter.progress(update(step * 5e7));
        wait(100);
      }
      reporter.progressDone();
      assert.equal(written(), "");
    });
  }
}

const ESCAPE = "\u001b[";

/** What a terminal shows in its last line: control sequences are obeyed as far as a bar uses them. */
function lastLine(text: string): string {
  let line = "";
  let cursor = 0;
  for (let at = 0; at < text.length; at++) {
    if (text.startsWith(ESCAPE, at)) {
      const sequence = /^[?\d;]*[A-Za-z]/.exec(text.slice(at + ESCAPE.length))?.[0] ?? "";
      at += ESCAPE.length + sequence.length - 1;
      if (sequence === "1G") cursor = 0;
      if (sequence === "0K" || sequence === "K") line = line.slice(0, cursor);
      if (sequence === "2K") line = "";
    } else if (text[at] === "\n") {
      line = "";
      cursor = 0;
    } else {
      line = line.padEnd(cursor).slice(0, cursor) + text[at] + line.slice(cursor + 1);
      cursor++;
    }
  }
  return line;
}

test("on a terminal: a bar with percent, bytes, speed, time left and shard", (context) => {
  const { reporter, written, wait } = fake(context, { columns: 80 });
  reporter.progress(update(0));
  assert.equal(lastLine(written()), "░░░░░░░░░░░░░░░░ 0%  0 B of 10.0 GB, -/s, - left  shard 1/3");
  wait(2000);
  reporter.progress(update(2.5e9, 2));
  wait(1000);
  assert.equal(
    lastLine(written()),
    "████░░░░░░░░░░░░ 25%  2.50 GB of 10.0 GB, 1.25 GB/s, 6.0 s left  shard 2/3",
  );
  reporter.progress(update(TOTAL, 3));
  wait(1000);
  assert.match(
    lastLine(written()),
    /^█{16} 100% {2}10\.0 GB of 10\.0 GB, 3\.33 GB\/s, 0\.0 s left {2}shard 3\/3$/,
  );
});

test("on a terminal: the bar goes away, and the cursor comes back", (context) => {
  const { reporter, written, wait } = fake(context, { columns: 80 });
  reporter.progress(update(0));
  wait(1000);
  reporter.progress(update(5e9));
  wait(1000);
  reporter.progressDone();
  assert.equal(lastLine(written()), "");
  assert.ok(!written().includes("\n"), "a bar that is taken away leaves no line");
  const [hidden, shown] = ["?25l", "?25h"].map((code) => written().lastIndexOf(`${ESCAPE}${code}`));
  assert.ok((shown ?? -1) > (hidden ?? -1));
  const before = written();
  wait(5000);
  assert.equal(written(), before, "nothing is drawn any more");
  reporter.note("after");
  assert.equal(lastLine(`${written().slice(0, -1)}`), "after");
});

test("on a terminal: a narrow one cuts the line and wraps again afterwards", (context) => {
  const { reporter, written, wait } = fake(context, { columns: 40 });
  reporter.progress(update(0));
  wait(1000);
  assert.ok(written().includes(`${ESCAPE}?7l`));
  reporter.progressDone();
  assert.ok(written().lastIndexOf(`${ESCAPE}?7h`) > written().lastIndexOf(`${ESCAPE}?7l`));
});

test("on a terminal: what is said meanwhile has a line of its own, and wraps", (context) => {
  const { reporter, written, wait } = fake(context, { columns: 80 });
  reporter.progress(update(1e9));
  wait(1000);
  const before = written().length;
  reporter.warn("it is slow");
  assert.equal(
    written().slice(before),
    `\r${ESCAPE}0K${ESCAPE}?7h${ESCAPE}33mwarning:${ESCAPE}0m it is slow\n${ESCAPE}?7l`,
  );
  reporter.progressDone();
  const after = written().length;
  reporter.note("over");
  assert.equal(written().slice(after), "over\n");
});

test("on a terminal that can't move its cursor: lines instead of a bar, and no colours", (context) => {
  const { reporter, written, wait } = fake(context, { columns: 80, variables: { TERM: "dumb" } });
  speak(reporter);
  for (let step = 0; step <= 60; step++) {
    reporter.progress(update(step * 5e7));
    wait(100);
  }
  reporter.progressDone();
  assert.equal(
    written(),
    [
      "a note",
      "warning: it may be wrong",
      "25%  2.50 GB of 10.0 GB, 500 MB/s, 15 s left  model-00001-of-00003.safetensors",
      "",
    ].join("\n"),
  );
});

test("on a terminal: the word before a warning is painted, what it quotes can't paint", (context) => {
  const { reporter, written } = fake(context, { columns: 80 });
  reporter.warn("tensor \u001b[32m");
  reporter.note("a note");
  assert.equal(written(), `${ESCAPE}33mwarning:${ESCAPE}0m tensor \\u001b[32m\na note\n`);
});

test("no bar was drawn: nothing is taken away", (context) => {
  const { reporter, written } = fake(context, { columns: 80 });
  reporter.progressDone();
  reporter.progressDone();
  assert.equal(written(), "");
});

test("the silent reporter has every voice and uses none", () => {
  speak(silentReporter);
  silentReporter.progress(update(1));
  silentReporter.progressDone();
});

test("files under way are named with their share; a new activity begins a new bar, one that is done stays so", (context) => {
  const { reporter, written, wait, interrupt } = fake(context);
  const file = (name: string, bytesDone: number) => ({ name, bytesDone, bytesTotal: 1e9 });
  const files = [file("a-00001-of-00002.bin", 25e7), file("a-00002-of-00002.bin", 0)];
  const download = { activity: "downloading" as const, bytesDone: 0, bytesTotal: 2e9, current: "a", files };
  reporter.progress(download);
  wait(5_000);
  reporter.progress({ ...download, bytesDone: 25e7 });
  assert.match(
    written(),
    /^12% {2}.*50\.0 MB\/s.*left {2}a-00001-of-00002\.bin 25%, a-00002-of-00002\.bin 0%$/m,
  );
  reporter.progressDone();
  const before = written();
  wait(60_000);
  reporter.progress({ ...download, bytesDone: 1e9 });
  assert.equal(written(), before);
  reporter.progress(update(0));
  wait(5_000);
  reporter.progress(update(5e9));
  assert.match(written().slice(before.length), /^50% {2}.*1\.00 GB\/s/);
  reporter.progressDone();
  interrupt();
  const end = written();
  wait(60_000);
  reporter.progress({ ...download, activity: "verifying" });
  wait(60_000);
  reporter.progress({ ...download, activity: "verifying", bytesDone: 2e9 });
  assert.equal(written(), end);
});

test("what a note quotes from a file can't write to the terminal", (context) => {
  const { reporter, written } = fake(context);
  reporter.note("tensor \u001b[2J\nwarning: made up");
  reporter.warn("\u009b2J");
  assert.equal(written(), "tensor \\u001b[2J\\u000awarning: made up\nwarning: \\u009b2J\n");
});
