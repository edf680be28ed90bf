/** The reporter of `run-files.ts`: prints what failed, and sends what came of each file. */
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

/** The name of a test that stands behind those of a file. */
export const END_OF_FILE = "end of file";

const NONE = { passed: 0, skipped: 0, failed: 0 };

export interface Tally extends Readonly<typeof NONE> {
  /** Of this process and its threads, in user mode: what a busy machine changes least. */
  readonly cpuSeconds: number;
}

export default async function* reportFile(events: AsyncIterable<TestEvent>): AsyncGenerator<string, void> {
  let tally = { ...NONE };
  let before = process.cpuUsage();
  /** The names of the suites and tests that the next event may be in. */
  const names: string[] = [];
  for await (const { type, data } of events) {
    if (type === "test:start") names[data.nesting] = data.name;
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (data.name === END_OF_FILE) {
      process.send?.({ ...tally, cpuSeconds: process.cpuUsage(before).user / 1e6 });
      tally = { ...NONE };
      before = process.cpuUsage();
    } else if (type === "test:pass") {
      if (data.details.type !== "suite") tally[data.skip === undefined ? "passed" : "skipped"]++;
    } else if (data.todo === undefined) {
      const { error } = data.details;
      if (inspect(error).includes("subtestsFailed")) continue;
      tally.failed++;
      const name = [...names.slice(0, data.nesting), data.name].join(" > ");
      yield `FAILED ${name} (${data.file ?? ""}:${data.line ?? ""})\n${inspect(error.cause ?? error)}\n\n`;
    }
  }
}
