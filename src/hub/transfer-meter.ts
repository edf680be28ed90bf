import type { Activity, FileProgress, Reporter } from "../progress.js";

/** More bytes have arrived; a negative number takes some back. */
export type OnBytes = (byteLength: number) => void;

export type TransferMeter = ReturnType<typeof startMeter>;

/** Bars needn't move faster. */
const PROGRESS_INTERVAL_MS = 100;

/**
 * Tells how far a transfer of several files is. `bytesTotal` may grow meanwhile; `idle` is what goes on while no file
 * is under way.
 */
export function startMeter(activity: Activity, bytesTotal: () => number, idle: string, reporter: Reporter) {
  const begun: { -readonly [Key in keyof FileProgress]: FileProgress[Key] }[] = [];
  let isShown = false;
  const report = () => {
    if (begun.length === 0) return;
    const files = begun.filter((file) => file.bytesDone < file.bytesTotal).map((file) => ({ ...file }));
    const bytesDone = begun.reduce((sum, file) => sum + file.bytesDone, 0);
    const current = files[0]?.name ?? idle;
    reporter.progress({ activity, bytesDone, bytesTotal: bytesTotal(), current, files });
    isShown = true;
  };
  const timer = setInterval(report, PROGRESS_INTERVAL_MS);
  return {
    /** A file is under way from now on. */
    begin(name: string, bytesTotal: number): OnBytes {
      const file = { name, bytesDone: 0, bytesTotal };
      begun.push(file);
      return (byteLength) => {
        file.bytesDone += byteLength;
      };
    },
    /** No more comes; `isWhole`: everything is there. */
    end(isWhole: boolean): void {
      clearInterval(timer);
      if (isWhole) report();
      if (isShown) reporter.progressDone();
    },
  };
}
