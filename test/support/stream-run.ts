/** A pair of models on a Hub on loopback, and merges of it that read the weights where they are. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/apply/apply-delta.js";
import type { MergeSummary } from "../../src/apply/documents.js";
import type { HubOptions, TransferSettings } from "../../src/hub/settings.js";
import { filesIn, QUICK } from "./hub-run.js";
import { type HubServer, type RecordedRequest, type RepositorySample, startHub } from "./hub-server.js";
import {
  type ModelOptions,
  type Tensor,
  type TinyPair,
  temporaryFolder,
  tinyPair,
  tinyShapes,
  writeModel,
} from "./model-folder.js";

export const BASE = "owner/base";
export const DELTA = "owner/delta";

export interface StreamRun {
  readonly root: string;
  readonly hub: HubServer;
  readonly cacheFolder: string;
  /** How the Hub is reached, with weights left there. */
  readonly hubOptions: HubOptions;
  /** The same models as folders. */
  readonly local: { readonly base: string; readonly delta: string };
  /** Bytes of a model's weights files. */
  weightBytes(repository: string): number;
  /** Merges with `--stream` into a folder of that name, with one thread. */
  stream(target: string, options?: StreamOptions): Promise<MergeSummary>;
  /** Bytes of weights files that were sent until now. */
  sentBytes(): number;
}

export type StreamOptions = Partial<ApplyDeltaOptions> & { readonly transfer?: Partial<TransferSettings> };

export interface StreamSides {
  readonly base: readonly Tensor[];
  readonly delta: readonly Tensor[];
  readonly baseOptions?: ModelOptions;
  readonly deltaOptions?: ModelOptions;
  /** What the repositories are besides their files. */
  readonly repository?: Omit<RepositorySample, "files">;
}

let pair: TinyPair | undefined;

/** About 2.6 MB a side: ten ranges of `QUICK` and more. */
export function mediumPair(): TinyPair {
  pair ??= tinyPair(1, tinyShapes(512, 192));
  return pair;
}

export async function streamRun(context: TestContext, sides: StreamSides): Promise<StreamRun> {
  const root = temporaryFolder(context);
  const local = {
    base: writeModel(join(root, "local-base"), sides.base, sides.baseOptions),
    delta: writeModel(join(root, "local-delta"), sides.delta, sides.deltaOptions),
  };
  return streamFolders(context, root, local, sides.repository);
}

/** The same of folders that are there. */
export async function streamFolders(
  context: TestContext,
  root: string,
  local: StreamRun["local"],
  repository: Omit<RepositorySample, "files"> = {},
): Promise<StreamRun> {
  const repositories = {
    [BASE]: { ...repository, files: filesIn(local.base) },
    [DELTA]: { ...repository, files: filesIn(local.delta) },
  };
  const hub = await startHub(repositories, context);
  const cacheFolder = join(root, "hub");
  const hubOptions = { endpoint: hub.url, cacheFolder, tokenFile: null, stream: true, transfer: QUICK };
  return {
    root,
    hub,
    cacheFolder,
    hubOptions,
    local,
    weightBytes: (name) =>
      Object.entries(hub.repositories[name]?.files ?? {}).reduce(
        (sum, [file, bytes]) => sum + (/\.(?:safetensors|bin)$/.test(file) ? bytes.length : 0),
        0,
      ),
    stream: (target, { transfer, hub: other, ...options } = {}) =>
      applyDelta({
        base: BASE,
        delta: DELTA,
        target: join(root, target),
        skipBaseCheck: true,
        threads: 1,
        hub: { ...hubOptions, ...other, transfer: { ...QUICK, ...other?.transfer, ...transfer } },
        ...options,
      }),
    sentBytes: () => hub.contentRequests().reduce((sum, { sentBytes }) => sum + sentBytes, 0),
  };
}

/** Requests for parts of weights, the one that asks for access apart. */
export const isData = ({ at, range }: RecordedRequest) => at === "content" && range !== null && range[1] > 1;

/** Everything in a target must be as in the other: the names of targets are in their cards only. */
export function assertSameTarget(got: string, expected: string): void {
  const [files, wanted] = [filesIn(got), filesIn(expected)];
  assert.deepEqual(Object.keys(files), Object.keys(wanted));
  for (const [name, bytes] of Object.entries(wanted)) {
    if (name === "README.md" || name === "vicuna-apply-delta.json") continue;
    assert.ok(files[name]?.equals(bytes), name);
  }
}

/** No file in the cache, whole or not, is as large as the smallest weights of these tests. */
export function assertNoWeightsIn(cacheFolder: string): void {
  const large: string[] = [];
  const walk = (folder: string) => {
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const path = join(folder, name);
      const stat = statSync(path);
      if (stat.isDirectory()) walk(path);
      else if (stat.size > 100_000) large.push(path);
    }
  };
  walk(cacheFolder);
  assert.deepEqual(large, []);
}
