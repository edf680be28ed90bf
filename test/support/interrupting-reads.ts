/**
 * Put before the program by `node --import`: at the main thread's Nth read of a model's file it gets a SIGINT. At its
 * end it says on stderr how many reads came after that.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread } from "node:worker_threads";

export const INTERRUPT_AT = "INTERRUPT_AT";

/** The folder with the models. Node itself reads modules by the same function, from 22 on. */
export const INTERRUPT_IN = "INTERRUPT_IN";

const at = Number(process.env[INTERRUPT_AT]);
const folder = process.env[INTERRUPT_IN] ?? "";

if (isMainThread && at > 0) {
  const open = fs.openSync as (...args: unknown[]) => number;
  const read = fs.readSync as (...args: unknown[]) => number;
  const counted = new Set<unknown>();
  let reads = 0;
  Object.assign(fs, {
    openSync(...args: unknown[]) {
      const fd = open(...args);
      if (String(args[0]).startsWith(folder)) counted.add(fd);
      else counted.delete(fd);
      return fd;
    },
    readSync(...args: unknown[]) {
      if (counted.has(args[0]) && ++reads === at) process.kill(process.pid, "SIGINT");
      return read(...args);
    },
  });
  syncBuiltinESMExports();
  process.on("exit", () => fs.writeSync(2, `reads after the signal: ${reads - at}\n`));
}
