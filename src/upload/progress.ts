import { type OnBytes, startMeter, type TransferMeter } from "../hub/transfer-meter.js";
import type { Reporter } from "../progress.js";
import type { CommitWatcher } from "./writer.js";

interface UploadProgress extends CommitWatcher {
  end(isWhole: boolean): void;
  /** Names of the large files that the Hub had already. */
  skipped(): string[];
}

/** Shows how much of the large files is hashed; then, of those that the Hub lacks, how much is sent. */
export function trackUpload(sizes: ReadonlyMap<string, number>, reporter: Reporter): UploadProgress {
  const idle = "waiting for the Hub";
  let bytesHashed = 0;
  let bytesWanted = 0;
  const hashing = startMeter("hashing", () => bytesHashed, idle, reporter);
  let sending: TransferMeter | undefined;
  const hashed = new Map<string, { share: number; readonly onBytes: OnBytes }>();
  const sent = new Map<string, OnBytes>();
  const sizeOf = (name: string) => sizes.get(name) ?? 0;
  return {
    onHashed(name, share) {
      const size = sizeOf(name);
      const file = hashed.get(name) ?? { share: 0, onBytes: hashing.begin(name, size) };
      if (!hashed.has(name)) bytesHashed += size;
      file.onBytes((share - file.share) * size);
      file.share = share;
      hashed.set(name, file);
    },
    onWanted(byteLength) {
      bytesWanted += byteLength;
      if (bytesWanted === 0 || sending !== undefined) return;
      hashing.end(true);
      sending = startMeter("uploading", () => bytesWanted, idle, reporter);
    },
    onBytes(name, byteLength) {
      const onBytes = sent.get(name) ?? sending?.begin(name, sizeOf(name));
      if (onBytes === undefined) return;
      sent.set(name, onBytes);
      onBytes(byteLength);
    },
    end: (isWhole) => (sending ?? hashing).end(isWhole),
    skipped: () => [...hashed.keys()].filter((name) => !sent.has(name)).sort(),
  };
}
