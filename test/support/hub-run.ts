/** A Hub on loopback with models on it, and how to fetch them in this process or by the command line. */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { FetchedModel } from "../../src/hub/fetch-models.js";
import { fetchModels } from "../../src/hub/fetch-models.js";
import { parseHubReference } from "../../src/hub/reference.js";
import { completeHubSettings, type HubOptions, type TransferSettings } from "../../src/hub/settings.js";
import { silentReporter } from "../../src/progress.js";
import { type HubServer, type RepositorySample, startHub } from "./hub-server.js";
import { temporaryFolder, tinyPair, writeModel } from "./model-folder.js";

export const REPOSITORY = "owner/model";

/** Fast and small, so that a test sees many ranges and no long wait. */
export const QUICK: Partial<TransferSettings> = {
  connections: 4,
  rangeBytes: 256 * 1024,
  noteMs: 10,
  stallMs: 400,
  attempts: 4,
  patienceMs: 0,
  firstDelayMs: 1,
  longestDelayMs: 2_000,
};

export interface HubRun {
  readonly hub: HubServer;
  readonly root: string;
  readonly cacheFolder: string;
  fetch(options?: RunOptions): Promise<FetchedModel>;
}

export interface RunOptions extends HubOptions {
  readonly reference?: string;
  readonly signal?: AbortSignal;
  readonly said?: string[];
}

/** A Hub with one repository, `owner/model`, and a cache that is empty. */
export async function hubRun(context: TestContext, repository: RepositorySample): Promise<HubRun> {
  const hub = await startHub({ [REPOSITORY]: repository }, context);
  const root = temporaryFolder(context);
  const cacheFolder = join(root, "hub");
  return {
    hub,
    root,
    cacheFolder,
    async fetch({ reference = REPOSITORY, signal, said = [], transfer, ...more } = {}) {
      const settings = completeHubSettings({
        endpoint: hub.url,
        cacheFolder,
        tokenFile: null,
        transfer: { ...QUICK, ...transfer },
        ...more,
      });
      const wanted = parseHubReference(reference);
      if (wanted === null) throw new Error(`${reference} is no reference`);
      const say = (text: string) => void said.push(text);
      const reporter = { ...silentReporter, detail: say, note: say, warn: say };
      const options = { settings, reporter, signal, weights: "first" as const, otherNeeds: () => [] };
      const [model] = await fetchModels([{ ...wanted, reference }], options);
      if (model === undefined) throw new Error("nothing was fetched");
      return model;
    },
  };
}

/** A repository whose one weights file is random: what it holds doesn't matter to a download. */
export function randomRepository(byteLength: number): RepositorySample & { readonly weights: Buffer } {
  const weights = randomBytes(byteLength);
  return { weights, files: { "config.json": Buffer.from("{}"), "model.safetensors": weights } };
}

/** The files of a folder, by name. */
export function filesIn(folder: string): Record<string, Buffer> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
}

/** The tiny base as one safetensors file and its delta as two PyTorch shards, as repositories. */
export function tinyRepositories(root: string): { base: RepositorySample; delta: RepositorySample } {
  const pair = tinyPair();
  return {
    base: { files: filesIn(writeModel(join(root, "local-base"), pair.base)) },
    delta: {
      files: filesIn(writeModel(join(root, "local-delta"), pair.delta, { format: "torch", shards: 2 })),
    },
  };
}
