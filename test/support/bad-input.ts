/**
 * What bad input gets: for each kind an exit code, an error code, a message that names the file and the tensor and says
 * what to do next, and not one file made or changed.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../src/errors.js";
import { listing, temporaryFolder, tinyPair, writeModel } from "./model-folder.js";
import { runCli } from "./run-cli.js";

export interface Place {
  readonly root: string;
  /** Folders of a good base and a good delta. */
  readonly base: string;
  readonly delta: string;
}

export interface Arguments {
  readonly base?: string;
  readonly delta?: string;
  readonly target?: string;
  readonly more?: readonly string[];
}

export interface BadInput {
  readonly name: string;
  readonly exit: number;
  readonly code: ErrorCode;
  /** Spoils the place; returns the arguments that differ from base, delta and a fresh target. */
  readonly make: (place: Place) => Arguments | undefined;
  /** What stderr must say, the file's name among it. */
  readonly says: readonly (string | RegExp)[];
}

export const PAIR = tinyPair();
export const WEIGHTS = "model.safetensors";

/** A folder beside base and delta with these files in it. */
export function folderOf({ root }: Place, files: Record<string, string | Uint8Array>): string {
  const folder = join(root, "other");
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

export const LFS_POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 9976634558\n`;

/** A test for each case. `SHOW_MESSAGES` prints what the program says. */
export function testBadInput(group: string, cases: readonly BadInput[]): void {
  describe(group, { concurrency: 3 }, () => {
    for (const { name, exit, code, make, says } of cases) {
      test(`${name}: exit ${exit}, ${code}`, async (context) => {
        const root = temporaryFolder(context);
        const place = {
          root,
          base: writeModel(join(root, "base"), PAIR.base),
          delta: writeModel(join(root, "delta"), PAIR.delta),
        };
        const { base, delta, target, more = [] } = { ...place, target: join(root, "target"), ...make(place) };
        const before = listing(root);
        const options = ["--base", base, "--delta", delta, "--target", target, "--json", ...more];
        const { code: exitCode, stdout, stderr } = await runCli(options, { cwd: root });

        if (process.env.SHOW_MESSAGES !== undefined) console.log(`--- ${group} ${name}\n${stderr}`);
        const { error } = JSON.parse(stdout) as { error: Record<string, unknown> };
        assert.equal(error.code, code, stderr);
        assert.equal(exitCode, exit);
        assert.match(stderr, /^error: \S.*\.$/m);
        for (const part of says) {
          if (typeof part === "string") assert.ok(stderr.includes(part), `no ${part} in ${stderr}`);
          else assert.match(stderr, part);
        }
        assert.match(stderr, /^ {2}what now: [A-Z].+/m);
        assert.ok(stderr.includes(String(error.message)) && stderr.includes(String(error.hint)));
        assert.ok(!stderr.includes("    at "), "a stack trace without --verbose");
        assert.deepEqual(listing(root), before);
      });
    }
  });
}
