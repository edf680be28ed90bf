import type { Reporter } from "../progress.js";

/** A reporter that keeps the warnings, for the result. Its methods can be passed on without it. */
export interface WarningLog extends Reporter {
  readonly warnings: readonly string[];
  detail(this: void, text: string): void;
  note(this: void, text: string): void;
  warn(this: void, text: string): void;
}

export function createWarningLog(reporter: Reporter): WarningLog {
  const warnings: string[] = [];
  return {
    warnings,
    detail: (text) => reporter.detail(text),
    note: (text) => reporter.note(text),
    warn(text) {
      warnings.push(text);
      reporter.warn(text);
    },
    progress: (update) => reporter.progress(update),
    progressDone: () => reporter.progressDone(),
  };
}
