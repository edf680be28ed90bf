/** What the parts of `npm run bench` share: a row of measured times, and how it is printed. */
import { formatBytes } from "../src/units.js";

export interface Row {
  readonly name: string;
  readonly seconds: number[];
  peakBytes: number;
}

export function rowOf(name: string): Row {
  return { name, seconds: [], peakBytes: 0 };
}

/** Times a run after `prepare`. */
export async function timed(row: Row, prepare: () => void, run: () => Promise<number>): Promise<void> {
  prepare();
  const start = performance.now();
  const peakBytes = await run();
  row.seconds.push((performance.now() - start) / 1000);
  row.peakBytes = Math.max(row.peakBytes, peakBytes);
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
}

/** Median of the ratios run by run, so that a drift of the machine's speed cancels out. */
export function ratio(mine: Row, theirs: Row): string {
  return median(mine.seconds.map((seconds, run) => seconds / (theirs.seconds[run] ?? Number.NaN))).toFixed(2);
}

export function printRows(rows: readonly Row[]): void {
  for (const { name, seconds, peakBytes } of rows) {
    const range = `${Math.min(...seconds).toFixed(2)} to ${Math.max(...seconds).toFixed(2)}`;
    const memory = peakBytes > 0 ? `  peak ${formatBytes(peakBytes)}` : "";
    console.log(`  ${name.padEnd(42)} ${median(seconds).toFixed(2).padStart(7)} s  (${range})${memory}`);
  }
}
