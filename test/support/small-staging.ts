/** A folder to work in with one shard and a config, and what stands around it. */
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { writeFully } from "../../src/files/write-errors.js";
import { stagingPathOf } from "../../src/target/describe.js";
import { openStaging } from "../../src/target/open-staging.js";
import type { Staging } from "../../src/target/staging.js";
import { temporaryFolder } from "./model-folder.js";

export const createStaging = (target: string) =>
  openStaging(target, {
    fingerprint: { base: "b", delta: "d" },
    restart: false,
    sync: true,
    overwrite: true,
    shards: ["model.safetensors"],
    silentMs: 300,
  });

interface Place {
  readonly root: string;
  readonly target: string;
  readonly work: string;
}

export function place(context: TestContext, target = "out"): Place {
  const root = realpathSync(temporaryFolder(context));
  const path = join(root, target);
  return { root, target: path, work: stagingPathOf(path) };
}

/** Makes what a run makes, in small. */
export function fill(staging: Staging, text = "new"): void {
  const { fd, path } = staging.createFile("model.safetensors", 10, [
    { offsetBytes: 0, bytes: Buffer.from("head") },
  ]);
  writeFully(fd, Buffer.from("tail"), 6, path);
  staging.writeFile("config.json", text);
}

export function fileAt(path: string, text = "old"): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

export const WHOLE = ["config.json", "model.safetensors"];
