/**
 * In: what happens while files are sent. Out: progress for the user, and what was sent in the end.
 */
import type { Reporter } from "../progress.js";
import type { CommitWatcher } from "./writer.js";

/** Bars needn't move faster. */
const PROGRESS_INTERVAL_MS = 100;

export interface UploadProgress extends CommitWatcher {
  /** Ends the bar. */
  end(): void;
  /** Large files: names of those that were sent, and of those that the Hub had. */
  readonly sent: readonly string[];
  readonly there: readonly string[];
}

export function trackUpload(sizes: ReadonlyMap<string, number>, reporter: Reporter): UploadProgress {
  const hashed = new Map<string, number>();
  const sent = new Map<string, number>();
  let bytesWanted = 0;
  const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, each) => total + each, 0);
  const sizeOf = (name: string) => sizes.get(name) ?? 0;
  const underWay = (bytesOf: ReadonlyMap<string, number>) =>
    [...bytesOf]
      .filter(([name, bytes]) => bytes < sizeOf(name))
      .map(([name, bytesDone]) => ({ name, bytesDone, bytesTotal: sizeOf(name) }));
  const report = () => {
    if (bytesWanted > 0) {
      const files = underWay(sent);
      const bytesDone = sum(sent.values());
      const current = files[0]?.name ?? "waiting for the Hub";
      reporter.progress({ activity: "uploading", bytesDone, bytesTotal: bytesWanted, current, files });
    } else if (hashed.size > 0) {
      const files = underWay(hashed);
      reporter.progress({
        activity: "hashing",
        bytesDone: sum(hashed.values()),
        bytesTotal: sum([...hashed.keys()].map(sizeOf)),
        current: files[0]?.name ?? "waiting for the Hub",
        files,
      });
    }
  };
  const timer = setInterval(report, PROGRESS_INTERVAL_MS);
  const names = (wasSent: boolean) =>
    [...hashed.keys()].filter((name) => (sent.get(name) ?? 0) > 0 === wasSent).sort();
  return {
    onHashed: (name, share) => void hashed.set(name, share * sizeOf(name)),
    onWanted: (wanted) => {
      bytesWanted += wanted;
    },
    onBytes: (name, byteLength) => void sent.set(name, (sent.get(name) ?? 0) + byteLength),
    end() {
      clearInterval(timer);
      report();
      reporter.progressDone();
    },
    get sent() {
      return names(true);
    },
    get there() {
      return names(false);
    },
  };
}
