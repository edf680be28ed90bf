/** Loaded before the program: writes down for how many milliseconds its main thread was deaf to signals at most. */
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

export const REPORT_VARIABLE = "VICUNA_LIMITS_REPORT";

const report = process.env[REPORT_VARIABLE];
if (isMainThread && report !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  // Loading the program's modules is no step that an input makes long.
  setTimeout(() => delay.enable(), 0).unref();
  process.once("exit", () => writeFileSync(report, String(delay.max / 1e6)));
}
