/** What making a delta reports: the documents that `make --json` prints. */

import type { ChangeSize } from "../base-check/layer-change.js";
import { type NotAdded, notAdded } from "../merge/merge-plan.js";
import {
  type LayoutDocument,
  layoutDocument,
  type OutputSummary,
  type PlannedOutput,
} from "../merge/output-documents.js";
import type { UploadSummary } from "../upload/summary.js";
import type { Restoration } from "./restoration.js";

/** What making a delta made: what `make` prints with `--json`. */
export interface MakeSummary extends OutputSummary {
  /** The real path of the folder. */
  readonly delta: string;
  /** How much the tuning changed, in a sample; null where nothing could be compared. */
  readonly change: ChangeSize | null;
  /** What applying the delta gives, proven element by element. */
  readonly restores: Restoration;
  /** Options of the command line that applying needs for every tensor to come back. */
  readonly applyWith: readonly string[];
}

/** The part of a prepared delta that a dry run shows. */
export interface DeltaPlanSummary extends PlannedOutput {
  readonly target: string;
  readonly change: ChangeSize | null;
  readonly applyWith: readonly string[];
  readonly warnings: readonly string[];
}

/** What making a delta would do: what `make --dry-run` prints. */
export interface DeltaPlanDocument extends LayoutDocument {
  /** The real path of the folder to make. */
  readonly delta: string;
  /** Tells it from a summary. */
  readonly dryRun: true;
  /** Every tensor that won't simply be subtracted, with the reason. */
  readonly notSubtracted: readonly NotAdded[];
  /** How much the tuning changed, in a sample; null where nothing could be compared. */
  readonly change: ChangeSize | null;
  /** Options of the command line that applying will need for every tensor to come back. */
  readonly applyWith: readonly string[];
  /** What may be wrong, a sentence each. */
  readonly warnings: readonly string[];
}

/** The plan as a document, for `--dry-run --json`. */
export function deltaPlanDocument(planned: DeltaPlanSummary): DeltaPlanDocument {
  const { target, plan, change, applyWith, warnings } = planned;
  return {
    delta: target,
    dryRun: true,
    ...layoutDocument(planned),
    notSubtracted: notAdded(plan),
    change,
    applyWith,
    warnings,
  };
}

/** What `make` prints with `--json`. */
export interface MakeDocument extends MakeSummary {
  /** With `--upload`: what was sent to the Hub. */
  readonly upload?: UploadSummary;
}
