/**
 * The models a command reads, from their references to open checkpoints: each is found or fetched once, opened once,
 * and closed when the command ends, connections included. A local path wins over a name on the Hub; local models load
 * nothing of the Hub's code.
 */

import { ApplyDeltaError, type ErrorCode, isApplyDeltaError } from "../errors.js";
import { sourceExists } from "../files/local-file.js";
import { type Checkpoint, type OpenOptions, openCheckpoint, type RemoteWeights } from "../formats/open.js";
import { formatTitles } from "../formats/table.js";
import { describeInterruption, pauseFor, RESUMES, throwIfAborted } from "../interrupt.js";
import { type Reporter, silentReporter } from "../progress.js";
import { assertApart } from "../target/target.js";
import { isLocalFile, type OpenFile } from "../tensor.js";
import { plural } from "../units.js";
import type { FetchedModel, WeightsNeed } from "./fetch-models.js";
import { adviceFor, nearRelease } from "./model-address.js";
import { nearPath } from "./near-path.js";
import { type HubReference, hasHubScheme, parseHubReference, type WantedModel } from "./reference.js";
import { completeHubSettings, type HubOptions } from "./settings.js";
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
  /** Of a model on the Hub, whether all files beside the weights are wanted; default: config and tokenizer. */
  readonly withAllFiles?: boolean;
}

type RemoteRequest = ModelRequest & { readonly wanted: WantedModel };

/** A request that was understood: a local path, or a model on the Hub. */
export type ReadRequest = (ModelRequest & { readonly path: string }) | RemoteRequest;

/** A model that was found. */
export interface Model {
  readonly reference: string;
  /** A folder or a file that exists; for a model on the Hub, its snapshot in the cache. */
  readonly path: string;
  /** Null for a local path. */
  readonly hub: HubOrigin | null;
  /** How to open weights that stay on the Hub; null where all are on this machine. */
  readonly remote: RemoteWeights | null;
  /**
   * Opens its weights; the same again when it is called again. `like` chooses among several sizes in one folder.
   * Errors: those of `openCheckpoint`.
   */
  open(like?: OpenOptions["like"]): Promise<OpenModel>;
  /** Begins to download weights that were left on the Hub for "meanwhile", where they are not streamed. */
  download(): Promise<void>;
}

export interface HubOrigin extends HubReference {
  readonly commit: string;
}

/** A model with its weights open. */
export type OpenModel = Checkpoint & Pick<Model, "reference" | "hub">;

export interface ModelsOptions {
  readonly hub?: HubOptions | undefined;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How much of the weights is needed; by default all of them, before `body` runs. */
  readonly weights?: WeightsNeed;
  /** The real path of a folder that will be made: it must overlap no model, and its disk must have room for it. */
  readonly target?: string;
}

/** Errors: `source-not-found`, `source-unreadable`, `bad-usage`. Asks no network. */
export function readRequest(request: ModelRequest): ReadRequest {
  const { role, reference, revision } = request;
  if (!hasHubScheme(reference) && sourceExists(reference)) {
    if (revision === undefined) return { ...request, path: reference };
    throw new ApplyDeltaError("bad-usage", `The ${role} is a local path, which has no revision.`, {
      file: reference,
      got: revision,
      hint: "Leave the revision out, or name a model on the Hub: hf://owner/name.",
    });
  }
  const wanted = parseHubReference(reference, revision);
  const { withAllFiles = false } = request;
  if (wanted !== null)
    return { ...request, wanted: { ...wanted, reference, isDelta: role === "delta", withAllFiles } };
  const { folder, meant } = nearPath(reference);
  const message = reference.includes("://")
    ? `Not the address of a model: ${reference}.`
    : `No such file or folder: ${reference} (looked in ${folder}).`;
  throw new ApplyDeltaError("source-not-found", message, {
    file: reference,
    expected: `for the ${role}: a folder, a weights file, or owner/name on the Hugging Face Hub`,
    hint: meant === null ? adviceFor(reference) : `Did you mean ${meant}?`,
  });
}

/** The paths of those that are on this machine as given. */
export function localPathsOf(requests: readonly ReadRequest[]): string[] {
  return requests.flatMap((request) => ("path" in request ? [request.path] : []));
}

/**
 * Finds the models, runs `body` with them and closes whatever was opened, also where it fails. With `hub.stream` the
 * weights of models on the Hub stay there.
 * Errors: those of `fetchModels`; `target-overlaps-source`; `interrupted`.
 */
export async function withModels<const Requests extends readonly ReadRequest[], T>(
  requests: Requests,
  options: ModelsOptions,
  body: (...models: { readonly [Index in keyof Requests]: Model }) => Promise<T>,
): Promise<T> {
  const { reporter, signal, target } = options;
  throwIfAborted(signal);
  const comesMeanwhile = options.weights === "meanwhile" && options.hub?.stream !== true;
  const closing: (() => unknown)[] = [];
  const toModel = (
    { role, reference }: ReadRequest,
    path: string,
    hub: HubOrigin | null,
    weights: StreamedWeights | null,
  ): Model => {
    if (weights !== null) closing.push(weights.close);
    const open = async (like: OpenOptions["like"] = null) => {
      const reading = { pause: pauseFor(signal), remote: weights, like, acceptsGguf: role === "model" };
      const checkpoint = await openCheckpoint(path, reading);
      closing.unshift(checkpoint.close);
      const localPaths = checkpoint.files.filter(isLocalFile).map((file) => file.path);
      if (target !== undefined) assertApart(target, [path, ...localPaths]);
      reporter?.detail(`${role}: ${describeCheckpoint(checkpoint)}`);
      return { ...checkpoint, reference, hub };
    };
    let opened: Promise<OpenModel> | undefined;
    const openOnce = (like?: OpenOptions["like"]) => {
      opened ??= open(like);
      return opened;
    };
    const download = async () => (comesMeanwhile ? weights?.download() : undefined);
    return { reference, path, hub, remote: weights, open: openOnce, download };
  };
  try {
    const models = new Map<ReadRequest, Model>();
    const remote: RemoteRequest[] = [];
    for (const request of requests) {
      if ("wanted" in request) remote.push(request);
      else models.set(request, toModel(request, request.path, null, null));
    }
    if (remote.length > 0) {
      // A local delta is opened before anything is downloaded for it: what is wrong with it is said at once.
      const delta = await [...models].find(([request]) => isSized(request))?.[1].open();
      const fetched = await fetchRemote(remote, delta?.files ?? [], options);
      for (const [i, request] of remote.entries()) {
        const { path, commit, weights } = fetched[i] as FetchedModel;
        const { repository, revision } = request.wanted;
        models.set(request, toModel(request, path, { repository, revision, commit }, weights));
      }
    }
    const found = requests.map((request) => models.get(request));
    const run = () => body(...(found as { [Index in keyof Requests]: Model }));
    const mayDownload = comesMeanwhile && found.some((model) => model !== undefined && model.remote !== null);
    if (!mayDownload) return await run();
    return await describeInterruption("the model is not complete; what was downloaded is kept", run, RESUMES);
  } finally {
    for (const close of closing) await close();
  }
}

/** Brings models onto this machine, or all of them but the weights. What is made is as large as one of them, or as `files`. */
async function fetchRemote(
  requests: readonly RemoteRequest[],
  files: readonly OpenFile[],
  { hub, reporter = silentReporter, signal, target, weights = "first" }: ModelsOptions,
): Promise<FetchedModel[]> {
  const { fetchModels } = await import("./fetch-models.js");
  const localBytes = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const otherNeeds = (weightBytes: readonly number[]) => {
    const bytes = weightBytes[requests.findIndex(isSized)] ?? localBytes;
    return target === undefined ? [] : [{ path: target, bytes, what: "the target" }];
  };
  const wanted = requests.map((request) => request.wanted);
  const settings = completeHubSettings(hub);
  return fetchModels(wanted, { settings, reporter, signal, weights, otherNeeds }).catch((error: unknown) => {
    throw withNearName(error, requests);
  });
}

/** Errors that a name gets which was meant as a path, or as another name. */
const NOT_ON_HUB: readonly ErrorCode[] = ["no-network", "not-in-cache", "repository-not-found"];

/** The same error; where the name it is about is nearly a local path or a release of Vicuna, with that. */
function withNearName(error: unknown, requests: readonly RemoteRequest[]): unknown {
  if (!isApplyDeltaError(error) || !NOT_ON_HUB.includes(error.code)) return error;
  const { message, details } = error;
  const isAbout = ({ wanted }: RemoteRequest) => `${message} ${details.file}`.includes(wanted.repository);
  const [meant] = requests
    .filter(isAbout)
    .flatMap(({ reference, wanted }) => nearPath(reference).meant ?? nearRelease(wanted.repository) ?? []);
  if (meant === undefined) return error;
  const hint = `Did you mean ${meant}? If not: ${error.details.hint ?? ""}`;
  return new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
}

function isSized({ role }: ModelRequest): boolean {
  return SIZED.includes(role);
}

function describeCheckpoint({ path, formats, files, tensors }: Checkpoint): string {
  return `${path} (${formatTitles(formats)}, ${plural(files.length, "file")}, ${plural(tensors.length, "tensor")})`;
}
