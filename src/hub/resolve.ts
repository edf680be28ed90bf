/**
 * In: model references from the command line. Out: local folders or files, downloaded where they are on the Hub, or
 * with their weights left there.
 * Guards: a local path wins; a reference that is neither is told both readings; local models load nothing of the Hub.
 */

import { homedir } from "node:os";
import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { sourceExists } from "../files/local-file.js";
import { openCheckpoint } from "../formats/open.js";
import { pauseFor, throwIfAborted } from "../interrupt.js";
import { type Reporter, silentReporter } from "../progress.js";
import type { WantedModel } from "./cached-model.js";
import { completeHubSettings, type HubOptions } from "./hub-settings.js";
import { hasHubScheme, parseHubReference } from "./reference.js";
import type { StreamedWeights } from "./stream-weights.js";

export type ModelRole = "base" | "delta" | "tuned model" | "model";

/** The roles that what is made is as large as. */
const SIZED: readonly ModelRole[] = ["delta", "tuned model"];

export interface ModelRequest {
  readonly role: ModelRole;
  /** A local path, `owner/name`, `owner/name@revision` or `hf://owner/name`. */
  readonly reference: string;
  /** The revision, where an option names it. */
  readonly revision?: string | undefined;
}

export interface ResolvedModel {
  /** A folder or a file that exists. */
  readonly path: string;
  readonly reference: string;
  /** Null for a local path. */
  readonly hub: { readonly repository: string; readonly revision: string; readonly commit: string } | null;
  /** Where the weights are read that aren't at `path`; null where all are. Whoever resolved the model closes them. */
  readonly weights: StreamedWeights | null;
}

export interface ResolveOptions {
  readonly hub?: HubOptions | undefined;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Where a target will be made, about as large as the delta or the tuned model; its room is checked before a download. */
  readonly target?: string;
}

/** A request that was understood: a local path, or a model on the Hub. */
export type ReadRequest = ModelRequest & ({ readonly path: string } | { readonly wanted: WantedModel });

/** Errors: `source-not-found`, `source-unreadable`, `bad-usage`. Asks no network. */
export function readRequest(request: ModelRequest): ReadRequest {
  const { role, reference, revision } = request;
  // A shell expands `~` in `--base ~/llama` but not in `--base=~/llama`.
  const path = reference.startsWith("~/") ? join(homedir(), reference.slice(2)) : reference;
  if (!hasHubScheme(reference) && sourceExists(path)) {
    if (revision === undefined) return { ...request, path };
    throw new ApplyDeltaError("bad-usage", `A revision is given for the ${role}, which is a local path.`, {
      file: path,
      got: revision,
      hint: "Leave the revision out, or name a model on the Hub: hf://owner/name.",
    });
  }
  const wanted = parseHubReference(reference, revision);
  if (wanted !== null) return { ...request, wanted: { ...wanted, reference } };
  throw new ApplyDeltaError(
    "source-not-found",
    `The ${role} doesn't exist: there is neither a folder nor a file of that name, and it is no name on the Hub either.`,
    {
      file: reference,
      expected: "a model's folder, its weights file, or owner/name on the Hugging Face Hub",
      hint: "Check the path for a typo; it should be a model's folder or its weights file.",
    },
  );
}

/**
 * Brings all models onto this machine, or with `hub.stream` all of them but the weights. Errors: those of `readRequest`
 * and of `fetchModels`; `interrupted`.
 */
export async function resolveModels(
  requests: readonly ModelRequest[],
  options: ResolveOptions = {},
): Promise<ResolvedModel[]> {
  throwIfAborted(options.signal);
  const read = requests.map(readRequest);
  const remote = read.flatMap((request) => ("wanted" in request ? [request] : []));
  if (remote.length === 0) {
    return read.map((request) => localModel(pathOf(request), request));
  }
  const settings = completeHubSettings(options.hub);
  const { target } = options;
  const localDelta = read.find(({ role, ...request }) => SIZED.includes(role) && "path" in request);
  const localBytes = localDelta === undefined ? 0 : await weightBytesOf(pathOf(localDelta), options.signal);
  const { fetchModels } = await import("./fetch-models.js");
  const fetched = await fetchModels(
    remote.map(({ wanted }) => wanted),
    {
      settings,
      reporter: options.reporter ?? silentReporter,
      signal: options.signal,
      otherNeeds(weightBytes) {
        const delta = remote.findIndex(({ role }) => SIZED.includes(role));
        const bytes = weightBytes[delta] ?? localBytes;
        return target === undefined ? [] : [{ path: target, bytes, what: "the target" }];
      },
    },
  );
  return read.map((request) => {
    const { reference } = request;
    if ("path" in request) return localModel(request.path, request);
    const { repository, revision } = request.wanted;
    const model = fetched[remote.indexOf(request)];
    if (model === undefined) throw new Error(`${repository} was not fetched`);
    const { path, commit, weights } = model;
    return { path, reference, hub: { repository, revision, commit }, weights };
  });
}

function localModel(path: string, { reference }: ModelRequest): ResolvedModel {
  return { path, reference, hub: null, weights: null };
}

function pathOf(request: ReadRequest): string {
  return "path" in request ? request.path : "";
}

/** A local delta is opened before anything is downloaded for it: what is wrong with it is said at once. */
async function weightBytesOf(path: string, signal: AbortSignal | undefined): Promise<number> {
  const checkpoint = await openCheckpoint(path, pauseFor(signal));
  try {
    return checkpoint.files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  } finally {
    checkpoint.close();
  }
}
