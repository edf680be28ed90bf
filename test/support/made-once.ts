/** A folder that several tests begin with: made once in this process, and copied for each of them. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder } from "./model-folder.js";

const made = new Map<string, Promise<string>>();

async function inNewFolder(make: (root: string) => Promise<unknown>): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), "vicuna-test-"));
  process.once("exit", () => rmSync(root, { recursive: true }));
  await make(root);
  return root;
}

/** A folder of the test's own with what `make` makes; `key` tells what that is. */
export async function copyOf(
  context: TestContext,
  key: string,
  make: (root: string) => Promise<unknown>,
): Promise<string> {
  const from = made.get(key) ?? inNewFolder(make);
  made.set(key, from);
  const root = temporaryFolder(context);
  cpSync(await from, root, { recursive: true });
  return root;
}
