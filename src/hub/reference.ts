/**
 * In: a model reference, as words. Out: the repository on the Hub it names, if it has that form.
 * Guards: what passes can be put into a URL and into a path of the cache as it stands.
 */
import { ApplyDeltaError } from "../errors.js";

export interface HubReference {
  /** `owner/name`. */
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

/** What the Hub calls the newest commit. */
export const DEFAULT_REVISION = "main";

const SCHEME = "hf://";

/**
 * Letters, digits, `-`, `_` and `.`, none of the last two marks at an end; no `--` and no `..`, which the cache's
 * folder names couldn't hold (huggingface_hub `validate_repo_id`).
 */
const PART = /^(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[\w.-]*\w)?$/;
const MOST_NAME_LENGTH = 96;

/** What git allows in a reference's name, less what a URL or a path would take for something else. */
const REVISION = /^(?!.*(?:\.\.|\/\/|@\{))[A-Za-z0-9_][\w.+=/-]*$/;

/** Whether it can only be meant as a name on the Hub. */
export function hasHubScheme(reference: string): boolean {
  return reference.startsWith(SCHEME);
}

/**
 * Reads `owner/name`, `owner/name@revision` and `hf://owner/name`; null where it is none of these. `revision` is what
 * an option says. Errors: `bad-usage` where the two name different revisions, or a revision can't be one.
 */
export function parseHubReference(reference: string, revision?: string): HubReference | null {
  const text = hasHubScheme(reference) ? reference.slice(SCHEME.length) : reference;
  const at = text.indexOf("@");
  const repository = at < 0 ? text : text.slice(0, at);
  const inReference = at < 0 ? undefined : text.slice(at + 1);
  const parts = repository.split("/");
  if (parts.length !== 2 || repository.length > MOST_NAME_LENGTH) return null;
  if (!parts.every((part) => PART.test(part))) return null;
  if (inReference !== undefined && revision !== undefined && inReference !== revision) {
    throw new ApplyDeltaError("bad-usage", "Two revisions are given for one model.", {
      got: `${reference} and ${revision}`,
      hint: "Name the revision once: behind the @ or with the option.",
    });
  }
  const wanted = inReference ?? revision ?? DEFAULT_REVISION;
  if (!REVISION.test(wanted) || wanted.endsWith("/") || wanted.endsWith(".lock")) {
    throw new ApplyDeltaError("bad-usage", "This can't be a revision.", {
      got: wanted,
      hint: "Give a branch, a tag or a commit, for example main.",
    });
  }
  return { repository, revision: wanted };
}

/** A full commit hash, which names one state of a repository forever. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
