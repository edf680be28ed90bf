import { join } from "node:path";
import { openLocalFile } from "../files/local-file.js";
import type { RemoteWeights } from "../formats/open.js";
import { createLimit } from "../limit.js";
import { formatBytes, plural } from "../units.js";
import { makeFolder } from "./cache.js";
import { HubFile } from "./hub-file.js";
import { describeLocated, downloadBytes, type LocatedModel } from "./locate-model.js";
import { explainReadError } from "./read-errors.js";
import { RemoteWindow } from "./remote-window.js";
import type { HubSession } from "./session.js";
import { openStreamedFile } from "./streamed-file.js";

/** Weights on the Hub, until they are closed. */
export interface StreamedWeights extends RemoteWeights {
  /** Ends the connections, for all models that were asked for together. May be called again. */
  close(): Promise<void>;
}

/**
 * How to read weights where they are: a file that the cache has from there, the others from the Hub, without writing
 * to a disk. Asks nothing of the network yet. Closing the weights of any model ends the session.
 */
export function streamWeights(
  models: readonly LocatedModel[],
  session: HubSession,
  signal: AbortSignal | undefined,
): Map<LocatedModel, StreamedWeights> {
  if (models.length === 0) return new Map();
  const { transfer } = session.settings;
  const window = new RemoteWindow(transfer, session.retrier);
  const requests = createLimit(transfer.connections);
  const cancel = () => window.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  const close = () => {
    signal?.removeEventListener("abort", cancel);
    window.close();
    return session.close();
  };
  const open = ({ wanted, path, commit, absentWeights }: LocatedModel, name: string) => {
    const entry = absentWeights.find((each) => each.entry.path === name)?.entry;
    if (entry === undefined) return openLocalFile(join(path, name));
    // Over plain HTTP, which gives exactly the range that is asked for; Xet's chunks are larger.
    const remote = new HubFile(session, wanted.repository, commit, { ...entry, isXet: false });
    const explain = (error: unknown) => explainReadError(error, wanted, session, name);
    const { retrier } = session;
    return openStreamedFile(`${wanted.repository}/${name}`, {
      entry,
      remote,
      window,
      retrier,
      requests,
      signal,
      explain,
    });
  };
  return new Map(
    models.map((model) => {
      const { path, indexPath, weights, absentWeights } = model;
      // Config and tokenizer are looked for there, also where the repository has none.
      makeFolder(path);
      const files = `${formatBytes(downloadBytes(absentWeights))} in ${plural(absentWeights.length, "file")}`;
      session.reporter.note(`streaming ${describeLocated(model)}: ${files}, not stored on this disk.`);
      const names = indexPath === null ? weights.map((entry) => entry.path) : [];
      return [model, { index: indexPath, names, open: (name) => open(model, name), close }];
    }),
  );
}
