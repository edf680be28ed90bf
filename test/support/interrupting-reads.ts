/**
 * Put before the program by `node --import`: at the main thread's Nth read of a file it gets a SIGINT. At its end it says
 * on stderr how many reads came after that.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread } from "node:worker_threads";

export const INTERRUPT_AT = "INTERRUPT_AT";

const at = Number(process.env[INTERRUPT_AT]);

if (isMainThread && at > 0) {
  const real = fs.readSync as (...args: unknown[]) => number;
  let reads = 0;
  Object.assign(fs, {
    readSync(...args: unknown[]) {
      if (++reads === at) process.kill(process.pid, "SIGINT");
      return real(...args);
    },
  });
  syncBuiltinESMExports();
  process.on("exit", () => fs.writeSync(2, `reads after the signal: ${reads - at}\n`));
}
