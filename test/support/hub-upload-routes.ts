/**
 * The part of the Hub on loopback that takes uploads, as far as `@huggingface/hub` asks for it: the account, a new
 * repository, which files are large, Git LFS with one address a file or one a part, the commit. Large files go to the
 * content server, which answers to nobody's token.
 *
 * - `GET /api/whoami-v2`, `POST /api/repos/create`
 * - `POST /api/models/o/n/preupload/main`, `POST /api/models/o/n/commit/main` (NDJSON)
 * - `POST /o/n.git/info/lfs/objects/batch`, `POST /complete/<sha256>`
 * - `PUT content/upload/<sha256>/<part>`: what arrives is kept once it is whole and its digest right
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Fault, type HubServer, type RecordedRequest, sha256, TOKEN } from "./hub-server.js";

/** What a test decides of uploads, and what came of them. */
export interface Uploads {
  account: { name: string; orgs?: readonly string[]; role: string; permissions?: readonly string[] };
  /** Larger files are sent in parts of so many bytes. */
  partBytes: number;
  /** Nobody may write to these repositories. */
  readonly readOnly: Set<string>;
  /** Objects that arrived whole, by SHA-256, whether or not a commit names them. */
  readonly objects: Map<string, Buffer>;
  /** Titles of the commits. */
  readonly commits: string[];
  /** Whether addresses come with one that is told when a file has arrived, and the files it was told of. */
  wantsVerification: boolean;
  readonly verified: string[];
  /** What the Hub says of any model card's metadata; null: nothing is wrong. */
  cardError: string | null;
}

export function newUploads(): Uploads {
  return {
    account: { name: "owner", orgs: ["club"], role: "write" },
    partBytes: Number.POSITIVE_INFINITY,
    readOnly: new Set(),
    objects: new Map(),
    commits: [],
    wantsVerification: false,
    verified: [],
    cardError: null,
  };
}

/** Parts of files that aren't whole yet. */
const parts = new WeakMap<Uploads, Map<string, Buffer[]>>();

/** Answers what belongs to an upload; false for anything else. */
export async function answerUpload(
  request: IncomingMessage,
  response: ServerResponse,
  recorded: RecordedRequest,
  server: HubServer,
  fault: Fault | undefined,
): Promise<boolean> {
  const path = decodeURIComponent(new URL(recorded.url, server.url).pathname);
  const { uploads } = server;
  const [, oid = "", part = ""] = /^\/upload\/(\w+)\/(\d+)$/.exec(path) ?? [];
  if (recorded.at === "content") {
    if (recorded.method !== "PUT" || oid === "") return false;
    const bytes = await bodyOf(request, recorded, fault);
    if (bytes !== null) keepPart(uploads, oid, Number(part), bytes);
    if (bytes !== null) response.writeHead(200, { etag: `"${sha256(bytes)}"` }).end();
    return true;
  }
  const isAccount = path === "/api/whoami-v2";
  if (recorded.method !== "POST" && !isAccount) return false;
  const body = (await bodyOf(request, recorded, fault))?.toString() ?? null;
  if (body === null) return true;
  const json = (status: number, value: object) =>
    void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  const complete = /^\/complete\/(\w+)$/.exec(path)?.[1];
  if (complete !== undefined) {
    joinParts(uploads, complete);
    json(200, {});
  } else if (recorded.authorization !== `Bearer ${TOKEN}`) {
    json(401, { error: "Invalid credentials in Authorization header" });
  } else if (path === "/api/validate-yaml") {
    const headers = { "content-type": "text/plain" };
    response.writeHead(uploads.cardError === null ? 200 : 400, headers).end(uploads.cardError ?? "");
  } else {
    const answer = answerOwner(path, body, server) ?? answerRepository(path, body, recorded, server);
    if (answer === null) return false;
    const { error } = answer as { error?: [status: number, message: string] };
    if (error === undefined) json(200, answer);
    else json(error[0], { error: error[1] });
  }
  return true;
}

/** A refusal, with its status. */
const refused = (status: number, message: string) => ({ error: [status, message] });

/** What belongs to no repository that is there; null for anything else. */
function answerOwner(path: string, body: string, { uploads, repositories, url }: HubServer): object | null {
  if (path === "/api/whoami-v2") {
    const { name, orgs, role, permissions } = uploads.account;
    const fineGrained = permissions === undefined ? {} : { fineGrained: { scoped: [{ permissions }] } };
    const accessToken = { displayName: "t", role, ...fineGrained };
    const organizations = orgs === undefined ? {} : { orgs: orgs.map((org) => ({ name: org })) };
    return { type: "user", name, ...organizations, auth: { type: "access_token", accessToken } };
  }
  if (path === "/verify") {
    uploads.verified.push((JSON.parse(body) as { oid: string }).oid);
    return {};
  }
  if (path !== "/api/repos/create") return null;
  const asked = JSON.parse(body) as { name: string; organization: string; visibility?: string };
  const name = `${asked.organization}/${asked.name}`;
  if (name in repositories) return refused(409, "You already created this model repo");
  const isPrivate = asked.visibility === "private";
  repositories[name] = { files: { ".gitattributes": Buffer.from("*.bin lfs\n") }, isPrivate };
  return { url: `${url}/${name}`, id: name };
}

const OF_API = /^\/api\/models\/([^/]+\/[^/]+)\/(preupload|commit)\/[^/]+$/;
const OF_GIT = /^\/([^/]+\/[^/]+)\.git\/info\/lfs\/objects\/batch$/;

/** What is done with a repository; null for anything else. */
function answerRepository(path: string, body: string, recorded: RecordedRequest, server: HubServer) {
  const { uploads, repositories, url } = server;
  const [, name, what] = OF_API.exec(path) ?? OF_GIT.exec(path) ?? [];
  if (name === undefined) return null;
  const repository = repositories[name];
  if (repository === undefined) return refused(404, "Repository not found");
  if (uploads.readOnly.has(name)) return refused(403, "You don't have the rights to write here");
  if (what === "preupload") {
    const { files } = JSON.parse(body) as { files: { path: string; size: number }[] };
    const modeOf = (size: number) => (size > 4096 ? "lfs" : "regular");
    return { files: files.map(({ path: file, size }) => ({ path: file, uploadMode: modeOf(size) })) };
  }
  if (what === "commit") {
    const { title, files } = committed(body, repository.files, uploads);
    if (files === null) return refused(400, "a file was never uploaded");
    const isPullRequest = recorded.url.endsWith("?create_pr=1");
    if (!isPullRequest) repositories[name] = { ...repository, files };
    uploads.commits.push(title);
    const commitOid = server.commitOf(name);
    const request = isPullRequest ? { pullRequestUrl: `${url}/${name}/discussions/1` } : {};
    return { success: true, commitOid, commitUrl: `${url}/${name}/commit/${commitOid}`, ...request };
  }
  const { objects } = JSON.parse(body) as { objects: { oid: string; size: number }[] };
  const held = new Set(Object.values(repository.files).map(sha256));
  return {
    transfer: "multipart",
    objects: objects.map((object) => {
      const isThere = held.has(object.oid) || uploads.objects.has(object.oid);
      const verify = uploads.wantsVerification ? { verify: { href: `${url}/verify` } } : {};
      return isThere ? object : { ...object, actions: { upload: uploadAction(object, server), ...verify } };
    }),
  };
}

function uploadAction({ oid, size }: { oid: string; size: number }, { uploads, contentUrl, url }: HubServer) {
  const address = (part: number) => `${contentUrl}/upload/${oid}/${part}?signature=secret`;
  if (size <= uploads.partBytes) return { href: address(0) };
  const count = Math.ceil(size / uploads.partBytes);
  const header: Record<string, string> = { chunk_size: String(uploads.partBytes) };
  for (let part = 1; part <= count; part++) header[String(part).padStart(5, "0")] = address(part);
  return { href: `${url}/complete/${oid}`, header };
}

/** The body; null where the fault cuts it off. */
async function bodyOf(
  request: IncomingMessage,
  recorded: RecordedRequest,
  fault: Fault | undefined,
): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      recorded.receivedBytes += chunk.length;
      if (fault !== undefined && "afterBytes" in fault && recorded.receivedBytes >= fault.afterBytes) {
        if (fault.kind === "stall") await new Promise((resolve) => request.once("close", resolve));
        request.socket.destroy();
        return null;
      }
    }
  } catch {
    return null;
  }
  return Buffer.concat(chunks);
}

function keepPart(uploads: Uploads, oid: string, part: number, bytes: Buffer): void {
  if (part === 0) return void keepObject(uploads, oid, bytes);
  const byOid = parts.get(uploads) ?? new Map<string, Buffer[]>();
  parts.set(uploads, byOid);
  const those = byOid.get(oid) ?? [];
  those[part - 1] = bytes;
  byOid.set(oid, those);
}

function joinParts(uploads: Uploads, oid: string): void {
  keepObject(uploads, oid, Buffer.concat(parts.get(uploads)?.get(oid) ?? []));
}

function keepObject(uploads: Uploads, oid: string, bytes: Buffer): void {
  if (sha256(bytes) === oid) uploads.objects.set(oid, bytes);
}

/** What a commit makes of the files; null where it names an object that isn't there. */
function committed(body: string, before: Readonly<Record<string, Buffer>>, uploads: Uploads) {
  const files = { ...before };
  const objects = new Map(Object.values(before).map((bytes) => [sha256(bytes), bytes]));
  let title = "";
  for (const line of body.split("\n")) {
    const { key, value } = JSON.parse(line) as { key: string; value: Record<string, string> };
    const { path = "", oid = "", content = "", summary = "" } = value;
    if (key === "header") title = summary;
    if (key === "file") files[path] = Buffer.from(content, "base64");
    if (key === "deletedFile") delete files[path];
    if (key === "lfsFile") {
      const bytes = uploads.objects.get(oid) ?? objects.get(oid);
      if (bytes === undefined) return { title, files: null };
      files[path] = bytes;
    }
  }
  return { title, files };
}
