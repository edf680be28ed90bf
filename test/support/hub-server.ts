/**
 * A Hub on loopback, as far as `@huggingface/hub`, this tool and Python's huggingface_hub ask it: model info, tree,
 * resolve and, on a second port that plays the content server, the bytes. Every request is recorded; a test decides
 * what goes wrong with which (`Fault`).
 *
 * - `GET /api/models/o/n/revision/r`, `GET /api/models/o/n/tree/r` (in pages), `X-Error-Code` for what isn't there
 * - `GET|HEAD /o/n/resolve/r/f`: small files at once, LFS files by a redirect to the content server, with `ETag`,
 *   `X-Linked-ETag`, `X-Linked-Size`; a file in Xet storage shows its address to whoever accepts it (hub-xet.ts)
 * - `GET content/<etag>?signature=<n>`: ranges; a signature older than `validSignatures` requests is refused
 * - uploads: hub-upload-routes.ts
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { commitOf, json, modelInfo, tree } from "./hub-listing.js";
import { rangeOf, type SendFile, sendFile } from "./hub-sending.js";
import { answerUpload, newUploads, type Uploads } from "./hub-upload-routes.js";
import { createWeather, type Weather } from "./hub-weather.js";
import { answerXet, XET_ACCEPT, xetAddress } from "./hub-xet.js";

export interface RepositorySample {
  readonly files: Readonly<Record<string, Buffer>>;
  /** Asks for a token that has access. */
  readonly gated?: boolean;
  /** Not there for whoever has no token. */
  readonly isPrivate?: boolean;
  /** Names of revisions besides `main`. */
  readonly branches?: readonly string[];
  /** LFS files are in Xet storage. */
  readonly xet?: boolean;
  /** What the tree says of a file instead of the truth. */
  readonly listed?: Readonly<
    Record<string, { readonly path?: string; readonly size?: number; readonly oid?: string }>
  >;
}

export type Fault =
  /** The connection breaks without an answer. */
  | { readonly kind: "reset" }
  /** The connection breaks after so many bytes of the body. */
  | { readonly kind: "drop"; readonly afterBytes: number }
  /** Nothing comes any more after so many bytes. */
  | { readonly kind: "stall"; readonly afterBytes: number }
  /** The body ends early as if that were all. */
  | { readonly kind: "truncate"; readonly afterBytes: number }
  /** One byte is another. */
  | { readonly kind: "corrupt" }
  | { readonly kind: "throttle"; readonly bytesPerSecond: number }
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: "redirect"; readonly to: string }
  /** Whatever the test writes. */
  | { readonly kind: "answer"; readonly with: (response: ServerResponse) => void };

export interface Line {
  /** Passes between a request and its answer. */
  readonly latencyMs: number;
  readonly bytesPerSecond: number;
}

export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** `hub` or the content server. */
  readonly at: "hub" | "content";
  readonly authorization: string | undefined;
  /** What `Range` asks for, end exclusive; null where it is absent. */
  readonly range: readonly [number, number] | null;
  /** Bytes of a file's content that were sent. */
  sentBytes: number;
  /** Bytes of its body that arrived. */
  receivedBytes: number;
}

export interface HubServer {
  readonly url: string;
  contentUrl: string;
  readonly requests: RecordedRequest[];
  /** Decides what goes wrong; set by the test. */
  fault: (request: RecordedRequest) => Fault | undefined;
  /** When its servers don't answer, or want fewer requests: before any fault. */
  readonly weather: Weather;
  /** The most requests for content that were answered at the same time. */
  mostAtOnce: number;
  /** So many redirects later a signed address is refused. */
  validSignatures: number;
  /** A signed address is refused once it was used so often: its life is shorter than a burst of requests. */
  usesOfAddress: number;
  /** How far away the servers are, and what a connection carries. */
  line: Line;
  /** Signed addresses that were given out until now are refused from now on. */
  expireAddresses(): void;
  /** The repositories, by `owner/name`; a test may change them. */
  readonly repositories: Record<string, RepositorySample>;
  readonly uploads: Uploads;
  commitOf(repository: string): string;
  /** Requests for the bytes of weights. */
  contentRequests(): RecordedRequest[];
  /** Connections that nobody has closed yet. */
  openConnections(): Promise<number>;
  close(): Promise<void>;
}

export const TOKEN = "hf_test_token_with_access";

/** Larger files are LFS files. */
const LFS_ABOVE = 4096;

const digests = new WeakMap<Uint8Array, string>();

/** Kept: every request asks for it. */
export function sha256(bytes: Uint8Array): string {
  const digest = digests.get(bytes) ?? createHash("sha256").update(bytes).digest("hex");
  digests.set(bytes, digest);
  return digest;
}

/** For bytes that are too many to hash. */
export function nameDigest(bytes: Uint8Array, digest: string): void {
  digests.set(bytes, digest);
}

export const gitSha1 = (bytes: Uint8Array) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
export const isLfs = (bytes: Uint8Array) => bytes.length > LFS_ABOVE;
export const etagOf = (bytes: Uint8Array) => (isLfs(bytes) ? sha256(bytes) : gitSha1(bytes));

/** Signed addresses of the content server, numbered from 1. */
interface Addresses {
  signed: number;
  /** The last of those that are refused. */
  expired: number;
  readonly uses: Map<number, number>;
  /** Requests for content that are being answered. */
  underWay: number;
}

/** A request without a fault of its own, and how it is answered. */
interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly recorded: RecordedRequest;
  readonly server: HubServer;
  readonly addresses: Addresses;
  readonly send: SendFile;
}

/** Starts both servers; they end with the test. */
export async function startHub(
  repositories: Record<string, RepositorySample>,
  context?: TestContext,
): Promise<HubServer> {
  const hub = createServer((request, response) => void answer(request, response, "hub"));
  const content = createServer((request, response) => void answer(request, response, "content"));
  const [url, contentUrl] = await Promise.all([hub, content].map(listen));
  const addresses: Addresses = { signed: 0, expired: 0, uses: new Map(), underWay: 0 };
  const server: HubServer = {
    url: url ?? "",
    contentUrl: contentUrl ?? "",
    requests: [],
    fault: () => undefined,
    weather: createWeather(),
    mostAtOnce: 0,
    validSignatures: Number.POSITIVE_INFINITY,
    usesOfAddress: Number.POSITIVE_INFINITY,
    line: { latencyMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY },
    expireAddresses() {
      addresses.expired = addresses.signed;
    },
    repositories,
    uploads: newUploads(),
    commitOf: (name) => commitOf(repositories[name]),
    async openConnections() {
      const counts = [hub, content].map((each) => promisify(each.getConnections.bind(each))());
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    },
    contentRequests: () => server.requests.filter(({ at }) => at === "content"),
    async close() {
      for (const each of [hub, content]) each.closeAllConnections();
      await Promise.all([hub, content].map((each) => new Promise((resolve) => each.close(resolve))));
    },
  };
  context?.after(() => server.close());

  async function answer(request: IncomingMessage, response: ServerResponse, at: "hub" | "content") {
    const recorded: RecordedRequest = {
      method: request.method ?? "",
      url: request.url ?? "",
      at,
      authorization: request.headers.authorization,
      range: rangeOf(request.headers.range),
      ...{ sentBytes: 0, receivedBytes: 0 },
    };
    server.requests.push(recorded);
    const fault = server.weather.fault(recorded) ?? server.fault(recorded);
    if (server.line.latencyMs > 0) await sleep(server.line.latencyMs);
    if (fault?.kind === "reset") return void request.socket.destroy();
    if (fault?.kind === "status") return void response.writeHead(fault.status, fault.headers).end();
    if (await answerUpload(request, response, recorded, server, fault)) return;
    if (fault?.kind === "redirect") return void response.writeHead(302, { location: fault.to }).end();
    if (fault?.kind === "answer") return fault.with(response);
    const send = (bytes: Buffer, headers: Record<string, string>) =>
      sendFile(recorded, response, bytes, headers, fault, server.line.bytesPerSecond);
    const exchange = { request, response, recorded, server, addresses, send };
    return at === "content" ? answerContent(exchange) : answerHub(exchange);
  }
  return server;
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
  });
}

const pathOf = ({ recorded, server }: Asked) =>
  decodeURIComponent(new URL(recorded.url, server.url).pathname);

async function answerContent(asked: Asked) {
  const { request, response, recorded, server, addresses, send } = asked;
  const path = pathOf(asked);
  server.mostAtOnce = Math.max(server.mostAtOnce, ++addresses.underWay);
  response.once("close", () => addresses.underWay--);
  const blobs = Object.values(server.repositories).flatMap(({ files }) => Object.values(files));
  if (await answerXet(request, response, path, blobs, server, send)) return;
  const bytes = blobs.find((candidate) => path === `/content/${sha256(candidate)}`);
  const signature = Number(new URL(recorded.url, server.url).searchParams.get("signature"));
  const used = (addresses.uses.get(signature) ?? 0) + 1;
  addresses.uses.set(signature, used);
  const isOld = signature <= addresses.expired || signature + server.validSignatures < addresses.signed;
  if (isOld || used > server.usesOfAddress) return void response.writeHead(403).end();
  return bytes === undefined
    ? void response.writeHead(404).end()
    : send(bytes, { etag: `"${sha256(bytes)}"` });
}

async function answerHub(asked: Asked) {
  const { request, response, recorded, server, addresses, send } = asked;
  const path = pathOf(asked);
  const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree|xet-read-token)\/(.+)$/.exec(path);
  const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
  const name = (api ?? file)?.[1] ?? "";
  const isTree = api?.[2] === "tree";
  const [treeRevision = "", ...treeFolder] = (api?.[3] ?? "").split("/");
  const revision = isTree ? treeRevision : (api?.[3] ?? file?.[2] ?? "").replace(/\?.*$/, "");
  const repository = server.repositories[name];
  const hasToken = recorded.authorization === `Bearer ${TOKEN}`;
  const fail = (status: number, code: string, message = code) =>
    void response.writeHead(status, { "x-error-code": code, "x-error-message": message }).end();
  if (recorded.authorization !== undefined && !hasToken) {
    const headers = { "x-error-message": "Invalid credentials in Authorization header" };
    return void response.writeHead(401, headers).end();
  }
  if (repository === undefined || (repository.isPrivate && !hasToken)) {
    return hasToken ? fail(404, "RepoNotFound") : fail(401, "RepoNotFound", "Repository not found");
  }
  const commit = commitOf(repository);
  if (![commit, "main", ...(repository.branches ?? [])].includes(revision))
    return fail(404, "RevisionNotFound");
  if (api?.[2] === "revision") return json(response, modelInfo(name, repository));
  if (isTree) return tree(request, response, repository, server.url, treeFolder.join("/"));
  if (repository.gated && !hasToken) return fail(401, "GatedRepo", `Access to model ${name} is restricted`);
  if (api?.[2] === "xet-read-token") {
    return json(response, { accessToken: "cas", casUrl: server.contentUrl, exp: 4e9 });
  }
  const bytes = repository.files[file?.[3] ?? ""];
  if (bytes === undefined) return fail(404, "EntryNotFound");
  const headers = { "x-repo-commit": commit, etag: `"${etagOf(bytes)}"`, "accept-ranges": "bytes" };
  if (!isLfs(bytes)) return send(bytes, headers);
  const linked = {
    ...headers,
    "x-linked-etag": `"${sha256(bytes)}"`,
    "x-linked-size": String(bytes.length),
  };
  if (repository.xet && request.headers.accept?.includes(XET_ACCEPT)) {
    const address = xetAddress(name, commit, sha256(bytes), server);
    return void response.writeHead(200, { ...linked, ...address }).end("{}");
  }
  const location = `${server.contentUrl}/content/${sha256(bytes)}?signature=${++addresses.signed}`;
  response.writeHead(302, { ...linked, location }).end();
}
