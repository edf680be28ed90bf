import type { BaseCheck } from "../base-check/documents.js";
import type { RecognizedRelease } from "../llama/documents.js";
import { describeRelease } from "../llama/recognize.js";
import { layoutDocument, type PlannedOutput } from "../merge/layout-document.js";
import { notAdded } from "../merge/merge-plan.js";
import type { MergePlanDocument } from "./documents.js";

/** The part of a prepared merge that a dry run shows. */
export interface PlanSummary extends PlannedOutput {
  readonly target: string;
  readonly baseCheck: BaseCheck | null;
  readonly release: RecognizedRelease | null;
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
