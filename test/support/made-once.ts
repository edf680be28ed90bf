/** Folders that several tests begin with: made once in this process. */
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

/** A folder with what `make` makes, for reading alone; `key` tells what that is. */
export function madeOnce(key: string, make: (root: string) => Promise<unknown>): Promise<string> {
  const folder = made.get(key) ?? inNewFolder(make);
  made.set(key, folder);
  return folder;
}

/** A copy of that folder, of the test's own. */
export async function copyOf(
  context: TestContext,
  key: string,
  make: (root: string) => Promise<unknown>,
): Promise<string> {
  const root = temporaryFolder(context);
  cpSync(await madeOnce(key, make), root, { recursive: true });
  return root;
}
