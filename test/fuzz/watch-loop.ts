/** Loaded before the program: writes down for how much processor time its main thread was deaf to signals at most. */
import { readFileSync, writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

export const REPORT_VARIABLE = "VICUNA_LIMITS_REPORT";

const LOOK_MS = 5;

/** What the main thread has used until now, in milliseconds: time on the clock says as much of the machine's other work. */
function processorMs(): number {
  return Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[0]) / 1e6;
}

const report = process.env[REPORT_VARIABLE];
if (isMainThread && report !== undefined) {
  let longest = 0;
  let last: number | undefined;
  const look = () => {
    const now = processorMs();
    longest = Math.max(longest, now - (last ?? now));
    last = now;
  };
  // Loading the program's modules is no step that an input makes long, so the first turn doesn't count.
  setInterval(look, LOOK_MS).unref();
  process.once("exit", () => {
    look();
    writeFileSync(report, String(longest));
  });
}
