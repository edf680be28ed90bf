/** What the Hub on loopback says of a repository: its commit, its info, and its files in pages. */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { gitSha1, isLfs, type RepositorySample, sha256 } from "./hub-server.js";

/** Entries of the tree a page. */
const PAGE = 4;

export function commitOf(repository: RepositorySample | undefined): string {
  const content = Object.entries(repository?.files ?? {}).map(([name, bytes]) => `${name} ${sha256(bytes)}`);
  return createHash("sha1").update(content.join("\n")).digest("hex");
}

export function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

export function modelInfo(name: string, repository: RepositorySample) {
  return {
    ...{
      _id: "1",
      id: name,
      modelId: name,
      sha: commitOf(repository),
      lastModified: "2023-04-01T00:00:00.000Z",
    },
    ...{
      private: repository.isPrivate ?? false,
      gated: repository.gated ? "manual" : false,
      disabled: false,
    },
    ...{ downloads: 1, likes: 1, tags: [], pipeline_tag: "text-generation" },
    siblings: Object.keys(repository.files).map((rfilename) => ({ rfilename })),
  };
}

export function tree(
  request: IncomingMessage,
  response: ServerResponse,
  repository: RepositorySample,
  url: string,
  folder: string,
) {
  const asked = new URL(request.url ?? "", url);
  const cursor = Number(asked.searchParams.get("cursor") ?? 0);
  const prefix = folder === "" ? "" : `${folder}/`;
  const inside = Object.entries(repository.files).filter(([path]) => path.startsWith(prefix));
  const isDirect = ([path]: [string, Buffer]) => !path.slice(prefix.length).includes("/");
  const below = inside
    .filter((entry) => !isDirect(entry))
    .map(([path]) => path.slice(prefix.length).split("/")[0]);
  const folders = [...new Set(below)].map((name) => {
    return { type: "directory", oid: "0".repeat(40), size: 0, path: prefix + name };
  });
  const files = inside.filter(isDirect).map(([path, bytes]) => {
    const size = bytes.length;
    const lfs = isLfs(bytes) ? { lfs: { oid: sha256(bytes), size, pointerSize: 134 } } : {};
    const xet = repository.xet && isLfs(bytes) ? { xetHash: sha256(bytes) } : {};
    const entry = {
      type: "file",
      oid: isLfs(bytes) ? sha256(bytes).slice(0, 40) : gitSha1(bytes),
      size,
      path,
      ...lfs,
      ...xet,
    };
    const { path: newPath, size: newSize, oid } = repository.listed?.[path] ?? {};
    if (newPath !== undefined) entry.path = newPath;
    if (newSize !== undefined) entry.size = newSize;
    if (oid !== undefined) entry.oid = oid;
    if ("lfs" in entry && entry.lfs !== undefined) {
      return { ...entry, lfs: { ...entry.lfs, oid: oid ?? entry.lfs.oid, size: entry.size } };
    }
    return entry;
  });
  const entries = [...folders, ...files];
  asked.searchParams.set("cursor", String(cursor + PAGE));
  const next = cursor + PAGE < entries.length ? { link: `<${asked.href}>; rel="next"` } : {};
  json(response, entries.slice(cursor, cursor + PAGE), next as Record<string, string>);
}
