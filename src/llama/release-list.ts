/** The table of releases as a document: what `weights --json` prints. */
import type { WeightsDocument } from "./documents.js";
import { RELEASES, titleOf } from "./releases.js";

/** The document: every field of every release, and its title. */
export function weightsDocument(releases = RELEASES): WeightsDocument {
  return { releases: releases.map((release) => ({ title: titleOf(release), ...release })) };
}
