/** What a merge reports: the documents that `--json` and `--dry-run --json` print. */

import type { BaseCheck } from "../base-check/judge-base.js";
import { describeRelease, type RecognizedRelease } from "../llama/recognize.js";
import { type NotAdded, notAdded } from "../merge/merge-plan.js";
import {
  type LayoutDocument,
  layoutDocument,
  type OutputSummary,
  type PlannedOutput,
} from "../merge/output-documents.js";
import type { UploadSummary } from "../upload/summary.js";

/** What a merge made: what the command prints with `--json`. */
export interface MergeSummary extends OutputSummary {
  /** The real path of the folder. */
  readonly target: string;
  /** The delta's release and what works with it, or null where it isn't recognised. */
  readonly release: string | null;
  /** What the delta was multiplied by. */
  readonly scale: number;
  /** The verdict on the base; null where the check was skipped. */
  readonly baseCheck: BaseCheck | null;
  /** Whether the target was read back and compared before it was published. */
  readonly verified: boolean;
}

/** The part of a prepared merge that a dry run shows. */
export interface PlanSummary extends PlannedOutput {
  readonly target: string;
  readonly baseCheck: BaseCheck | null;
  readonly release: RecognizedRelease | null;
  readonly warnings: readonly string[];
}

/** What a merge would do: what `--dry-run` prints. */
export interface MergePlanDocument extends LayoutDocument {
  /** The real path of the folder to make. */
  readonly target: string;
  /** Tells it from a summary. */
  readonly dryRun: true;
  /** The delta's release and what works with it, or null where it isn't recognised. */
  readonly release: string | null;
  /** What the delta will be multiplied by. */
  readonly scale: number;
  /** Every tensor that won't simply be added, with the reason. */
  readonly notAdded: readonly NotAdded[];
  /** The verdict on the base; null where the check was skipped. */
  readonly baseCheck: BaseCheck | null;
  /** What may be wrong, a sentence each. */
  readonly warnings: readonly string[];
}

/** The plan as a document, for `--dry-run --json`. */
export function planDocument(planned: PlanSummary): MergePlanDocument {
  const { target, plan, baseCheck, release, warnings } = planned;
  return {
    target,
    dryRun: true,
    release: release === null ? null : describeRelease(release),
    scale: plan.scale,
    ...layoutDocument(planned),
    notAdded: notAdded(plan),
    baseCheck,
    warnings,
  };
}

/** What applying prints with `--json`. */
export interface ApplyDocument extends MergeSummary {
  /** With `--upload`: what was sent to the Hub. */
  readonly upload?: UploadSummary;
}
