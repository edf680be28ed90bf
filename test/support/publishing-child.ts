/** Makes a small target, and is killed before the Nth operation of its publishing: node publishing-child.js TARGET N. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { writeFully } from "../../src/files/write-errors.js";
import { openStaging } from "../../src/target/open-staging.js";

const [target = "", last = ""] = process.argv.slice(2);

export const SHARD = "model.safetensors";
export const OPTIONS = { fingerprint: { base: "b" }, shards: [SHARD], overwrite: true } as const;

const staging = await openStaging(target, OPTIONS);
const { fd, path } = staging.createFile(SHARD, 4, []);
writeFully(fd, Buffer.from("data"), 0, path);
await staging.finishFile(SHARD, []);
staging.writeFile("config.json", "{}");
let left = Number(last);
for (const name of [
  "renameSync",
  "rmSync",
  "rmdirSync",
  "openSync",
  "writeSync",
  "fsyncSync",
  "closeSync",
] as const) {
  const original = fs[name] as (...args: unknown[]) => unknown;
  const killing = (...args: unknown[]) => {
    if (--left < 0) process.kill(process.pid, "SIGKILL");
    return original(...args);
  };
  Object.assign(fs, { [name]: killing });
}
syncBuiltinESMExports();
await staging.commit();
