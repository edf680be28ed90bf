/**
 * Xet storage as far as a download sees it: an address in the answer to `resolve`, a read token, the reconstruction of
 * a range and the chunks of a xorb (https://huggingface.co/docs/xet: download protocol, xorb format). Each file is one
 * xorb of uncompressed chunks.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { SendFile } from "./hub-sending.js";
import { type HubServer, sha256 } from "./hub-server.js";

export const XET_ACCEPT = "application/vnd.xet-fileinfo+json";

const CHUNK = 16 * 1024;
const HEADER = 8;

/** The heads that say where a file's content is described. */
export function xetAddress(
  name: string,
  commit: string,
  hash: string,
  server: HubServer,
): Record<string, string> {
  const links = [
    `<${server.url}/api/models/${name}/xet-read-token/${commit}>; rel="xet-auth"`,
    `<${server.contentUrl}/v1/reconstructions/${hash}>; rel="xet-reconstruction-info"`,
  ];
  return { "content-type": XET_ACCEPT, "x-xet-hash": hash, link: links.join(", ") };
}

/** Answers for reconstructions and xorbs; false for anything else. */
export async function answerXet(
  { headers }: IncomingMessage,
  response: ServerResponse,
  path: string,
  blobs: readonly Buffer[],
  server: HubServer,
  send: SendFile,
): Promise<boolean> {
  const [, what, hash] = /^\/(v2\/reconstructions|xorbs)\/(\w+)$/.exec(path) ?? [];
  const bytes = blobs.find((candidate) => sha256(candidate) === hash);
  if (what === undefined || bytes === undefined) return false;
  if (what === "xorbs") {
    await send(xorbOf(bytes), {});
    return true;
  }
  if (headers.authorization !== "Bearer cas") {
    response.writeHead(401).end();
    return true;
  }
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? [];
  const [first, last] = [Math.floor(Number(from) / CHUNK), Math.floor(Number(to) / CHUNK)];
  const chunks = { start: first, end: last + 1 };
  const end = Math.min((last + 1) * (CHUNK + HEADER), xorbOf(bytes).length) - 1;
  const ranges = [{ chunks, bytes: { start: first * (CHUNK + HEADER), end } }];
  const length = Math.min((last + 1) * CHUNK, bytes.length) - first * CHUNK;
  const document = {
    offset_into_first_range: Number(from) - first * CHUNK,
    terms: [{ hash, unpacked_length: length, range: chunks }],
    xorbs: { [hash ?? ""]: [{ url: `${server.contentUrl}/xorbs/${hash}`, ranges }] },
  };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document));
  return true;
}

/** Chunk after chunk, each with its head: version 0, two lengths of 24 bits around the compression's number, 0. */
function xorbOf(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const chunk = bytes.subarray(at, at + CHUNK);
    const head = Buffer.alloc(HEADER);
    head.writeUIntLE(chunk.length, 1, 3);
    head.writeUIntLE(chunk.length, 5, 3);
    parts.push(head, chunk);
  }
  return Buffer.concat(parts);
}
