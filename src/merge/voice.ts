/**
 * In: a reporter, and what is to be said. Out: the same, said, and the warnings kept for the result.
 */

import type { Checkpoint } from "../formats/open.js";
import { formatTitles } from "../formats/table.js";
import type { Reporter } from "../progress.js";
import { plural } from "../units.js";

export interface Voice {
  readonly warnings: readonly string[];
  detail(this: void, text: string): void;
  note(this: void, text: string): void;
  warn(this: void, text: string): void;
  describe(role: "base" | "delta" | "tuned model", checkpoint: Checkpoint): void;
}

export function createVoice(reporter: Reporter): Voice {
  const warnings: string[] = [];
  return {
    warnings,
    detail: (text) => reporter.detail(text),
    note: (text) => reporter.note(text),
    warn: (text) => {
      warnings.push(text);
      reporter.warn(text);
    },
    describe(role, { path, formats, files, tensors, notes }) {
      reporter.detail(
        `${role}: ${path} (${formatTitles(formats)}, ${plural(files.length, "file")}, ${plural(tensors.length, "tensor")})`,
      );
      for (const text of notes) reporter.note(text);
    },
  };
}
