/** The table of releases as a document: what `weights --json` prints. */
import { RELEASES, type Release, titleOf } from "./releases.js";

/** A release, and what people call it. */
export interface ListedRelease extends Release {
  /** `Vicuna 7B v1.1`. */
  readonly title: string;
}

/** The releases of Vicuna: what `weights` prints with `--json`. */
export interface WeightsDocument {
  /** Newest version first. */
  readonly releases: readonly ListedRelease[];
}

/** The document: every field of every release, and its title. */
export function weightsDocument(releases = RELEASES): WeightsDocument {
  return { releases: releases.map((release) => ({ title: titleOf(release), ...release })) };
}
