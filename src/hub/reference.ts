import { ApplyDeltaError } from "../errors.js";
import { readAddress } from "./model-address.js";

export interface HubReference {
  /** `owner/name`. */
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

/** A model on the Hub, as the user asked for it. */
export interface WantedModel extends HubReference {
  /** As the user gave it. */
  readonly reference: string;
  /** Whether a whole model won't do. */
  readonly isDelta?: boolean;
  /** Whether all files beside the weights are wanted, and not only config and tokenizer: to be verified. */
  readonly withAllFiles?: boolean;
}

/** The Hub's name for the newest commit. */
export const DEFAULT_REVISION = "main";

/**
 * Letters, digits, `-`, `_` and `.`, without `-` or `.` at an end; no `--` and no `..`, which the cache's folder names
 * can't hold (huggingface_hub `validate_repo_id`). So it goes into a URL and into a path as it is.
 */
const PART = /^(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[\w.-]*\w)?$/;
const MOST_NAME_LENGTH = 96;

/** As git allows in the name of a ref, without what has a meaning in a URL or a path. */
const REVISION = /^(?!.*(?:\.\.|\/\/|@\{))[A-Za-z0-9_][\w.+=/-]*$/;

/** Whether it can only mean a name on the Hub. */
export function hasHubScheme(reference: string): boolean {
  return reference.startsWith("hf://");
}

/**
 * Reads `owner/name`, `owner/name@revision`, `hf://owner/name` and the address of a model's page; null for anything
 * else. `revision` comes from an option. Errors: `bad-usage` for two different revisions, or one that is malformed.
 */
export function parseHubReference(reference: string, revision?: string): HubReference | null {
  const text = readAddress(reference) ?? reference.replace(/^hf:\/\//, "");
  const [, repository = "", inReference] = /^([^@]*)(?:@(.*))?$/s.exec(text) ?? [];
  const parts = repository.split("/");
  if (parts.length !== 2 || repository.length > MOST_NAME_LENGTH) return null;
  if (!parts.every((part) => PART.test(part))) return null;
  if (inReference !== undefined && revision !== undefined && inReference !== revision) {
    throw new ApplyDeltaError("bad-usage", "The model has two revisions.", {
      got: `${reference} and ${revision}`,
      hint: "Name the revision once: after the @ or with the option.",
    });
  }
  const wanted = inReference ?? revision ?? DEFAULT_REVISION;
  if (!REVISION.test(wanted) || wanted.endsWith("/") || wanted.endsWith(".lock")) {
    throw new ApplyDeltaError("bad-usage", "The revision is malformed.", {
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
