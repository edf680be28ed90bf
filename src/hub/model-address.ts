/** The addresses under which people copy a model of the Hub, and what was meant by a name that leads nowhere. */
import { nameOf } from "../llama/describe.js";
import { RELEASES } from "../llama/releases.js";
import { nearestName } from "../nearest.js";

/** The page of a model or of one of its revisions, or the address to clone it from. */
const PAGE =
  /^(?:(?:https?:\/\/)?(?:www\.)?(?:huggingface|hf)\.co\/(?:models\/)?|git@(?:huggingface|hf)\.co:|hf:\/\/models\/)([^/?#@]+\/[^/?#@]+?)(?:\.git)?(?:\/(?:tree|commit)\/(refs\/[^/?#]+\/[^/?#]+|[^/?#]+)|@([^?#]+))?\/?(?:[?#].*)?$/;

/** `owner/name` or `owner/name@revision` for the address of a model; null for anything else. */
export function readAddress(address: string): string | null {
  const [, repository, revision, after] = PAGE.exec(address) ?? [];
  if (repository === undefined) return null;
  const wanted = revision === undefined ? after : decoded(revision);
  return wanted === undefined ? repository : `${repository}@${wanted}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // As no revision is called: refused later.
  }
}

/** What to do about a reference that is neither a path nor a model on the Hub. */
export function adviceFor(reference: string): string {
  const inside = /(?:huggingface|hf)\.co\/(?:models\/)?([\w.-]+\/[\w.-]+)\/(?:blob|resolve|raw|tree)\//.exec(
    reference,
  );
  if (inside !== null) return `This leads to one file of a model. Give the model: ${inside[1]}.`;
  if (/^(?:https?:\/\/)?hf-mirror\.com\//.test(reference))
    return "Give owner/name, and set HF_ENDPOINT=https://hf-mirror.com to fetch it from there.";
  if (reference.startsWith("file://")) return `Give the path: ${reference.slice("file://".length)}.`;
  if (reference.includes("://"))
    return "Download it and give the folder: only models of huggingface.co are read by address.";
  const meant = nameMeant(reference);
  if (meant !== null) return `Did you mean ${meant}?`;
  if (/^[~$%]|[*?]/.test(reference))
    return "The shell replaces ~, $ and * only outside quotes: leave those out, or write the path in full.";
  return "Check the path for a typo.";
}

/** The release of Vicuna whose name is nearly this one; null where none is. */
export function nearRelease(repository: string): string | null {
  return nearestName(
    repository,
    RELEASES.map((release) => release.repository),
  );
}

/** `owner/name` where a reference is nearly one. */
function nameMeant(reference: string): string | null {
  const release = RELEASES.find((candidate) => nameOf(candidate) === reference);
  if (release !== undefined) return release.repository;
  const bare = reference.trim().replace(/^["'`]|["'`]$/g, "");
  const cached = /^models--([\w.-]+?)--([\w.-]+)$/.exec(bare);
  const name = cached === null ? bare.replaceAll("\\", "/").replace(/\/+$/, "") : `${cached[1]}/${cached[2]}`;
  return name !== reference && /^\w[\w.-]*\/\w[\w.-]*$/.test(name) ? name : null;
}
