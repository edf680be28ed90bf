/**
 * In a process that imports this nothing waits for the disk, which takes a tenth of all tests' time: what is read back is
 * the same. What is on the disk after a fault or a kill, `npm run faults` and the slow tests see.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/** For a test that looks at the disk. */
export const trueFsync = fs.fsyncSync;

fs.fsyncSync = () => {};
fs.fsync = Object.assign((_: number, done: fs.NoParamCallback) => process.nextTick(done, null), {
  __promisify__: async () => {},
});
syncBuiltinESMExports();
