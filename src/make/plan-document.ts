import type { ChangeSize } from "../base-check/documents.js";
import { layoutDocument, type PlannedOutput } from "../merge/layout-document.js";
import { notAdded } from "../merge/merge-plan.js";
import type { DeltaPlanDocument } from "./documents.js";

/** The part of a prepared delta that a dry run shows. */
export interface DeltaPlanSummary extends PlannedOutput {
  readonly target: string;
  readonly change: ChangeSize | null;
  readonly applyWith: readonly string[];
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
