import type { Reporter } from "../progress.js";

/** A reporter that keeps the warnings, for the result. */
export interface WarningLog extends Reporter {
  readonly warnings: readonly string[];
}

export function createWarningLog(reporter: Reporter): WarningLog {
  const warnings: string[] = [];
  const warn = (text: string) => {
    warnings.push(text);
    reporter.warn(text);
  };
  return { ...reporter, warn, warnings };
}
