/**
 * In: models whose weights aren't all in the cache, a Hub to ask. Out: how to read those weights where they are.
 * Guards: what the cache has as a whole is read from there; of the rest nothing is written to a disk.
 */
import { join } from "node:path";
import { openLocalFile } from "../files/local-file.js";
import type { RemoteWeights } from "../formats/open.js";
import { createLimit } from "../limit.js";
import type { Reporter } from "../progress.js";
import { formatBytes, plural } from "../units.js";
import { makeFolder, type RepositoryCache } from "./cache.js";
import type { WantedModel } from "./cached-model.js";
import type { Hub, HubEntry } from "./hub.js";
import type { HubSettings } from "./hub-settings.js";
import { RemoteWindow } from "./remote-window.js";
import type { Retrier } from "./retry.js";
import { openRemoteFile } from "./streamed-file.js";

export interface StreamableModel {
  readonly wanted: WantedModel;
  readonly cache: RepositoryCache;
  readonly commit: string;
  /** The snapshot's folder, with config and tokenizer in it. */
  readonly path: string;
  readonly indexPath: string | null;
  /** The weights files, in order. */
  readonly weights: readonly HubEntry[];
  /** Those that are read from the Hub. */
  readonly absent: readonly HubEntry[];
}

/** Weights on the Hub, until they are closed. */
export interface StreamedWeights extends RemoteWeights {
  /** Ends the connections, for all models that were asked for together. May be called again. */
  close(): Promise<void>;
}

export interface StreamOptions {
  readonly hub: Hub;
  readonly settings: HubSettings;
  readonly retrier: Retrier;
  readonly reporter: Reporter;
  readonly signal: AbortSignal | undefined;
  /** Turns what a request ended in into a typed error. */
  readonly describe: (error: unknown, wanted: WantedModel, fileName: string) => unknown;
  /** Ends the connections. */
  readonly end: () => Promise<void>;
}

export interface StreamedModel {
  readonly path: string;
  readonly commit: string;
  /** Null where the cache has all of them. */
  readonly weights: StreamedWeights | null;
}

/** Asks nothing of the network yet. */
export function streamModels(models: readonly StreamableModel[], options: StreamOptions): StreamedModel[] {
  const { hub, settings, retrier, reporter, signal, end } = options;
  const isStreamed = ({ absent }: StreamableModel) => absent.length > 0;
  if (!models.some(isStreamed)) return models.map(({ path, commit }) => ({ path, commit, weights: null }));
  const window = new RemoteWindow(settings.transfer, retrier);
  const requests = createLimit(settings.transfer.connections);
  const cancel = () => window.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  let closing: Promise<void> | undefined;
  const close = () => {
    signal?.removeEventListener("abort", cancel);
    window.close();
    closing ??= end();
    return closing;
  };
  return models.map((model) => {
    const { wanted, path, commit, indexPath, weights, absent } = model;
    if (!isStreamed(model)) return { path, commit, weights: null };
    // Config and tokenizer are looked for there, also where the repository has none.
    makeFolder(path);
    const bytes = absent.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const of = `${wanted.repository}@${wanted.revision} (commit ${commit.slice(0, 12)})`;
    reporter.note(
      `reading ${of} where it is: ${formatBytes(bytes)} in ${plural(absent.length, "file")}, nothing of it is stored.`,
    );
    const open = (name: string) => {
      const entry = absent.find((each) => each.path === name);
      if (entry === undefined) return openLocalFile(join(path, name));
      // Over plain HTTP, which gives exactly the range that is asked for; Xet's chunks are larger.
      const remote = hub.file(wanted.repository, commit, { ...entry, isXet: false });
      const describe = (error: unknown) => options.describe(error, wanted, name);
      const common = { entry, remote, window, retrier, requests, signal, describe };
      return openRemoteFile(`${wanted.repository}/${name}`, common);
    };
    const names = indexPath === null ? weights.map((entry) => entry.path) : [];
    return { path, commit, weights: { index: indexPath, names, open, close } };
  });
}
