/**
 * The Hub on loopback as a process of its own, with models of any size whose weights are made as they are asked for:
 * noise that is the same wherever it is read, in safetensors shards as large as huggingface_hub makes them. Started by
 * hub.ts, which sets the line and asks for the counts.
 */
import { createHash } from "node:crypto";
import { type HubServer, nameDigest, startHub } from "../test/support/hub-server.js";
import { type LifeSize, lifeSizeShapes } from "../test/support/life-size-model.js";
import { encodeNumbers, seededNormals } from "../test/support/numbers.js";

export type Order = { readonly latencyMs: number; readonly bytesPerSecond: number } | "counts";

export interface Counts {
  readonly requests: number;
  readonly sentBytes: number;
}

const SHARD_BYTES = 10_000_000_000;
const BLOCK_BYTES = 2 ** 22;

/** Float16 noise of this size, again and again. */
function block(deviation: number): Buffer {
  const normal = seededNormals(5);
  const numbers = Float64Array.from({ length: BLOCK_BYTES / 2 }, () => normal() * deviation);
  return Buffer.from(encodeNumbers("F16", numbers));
}

/** A file that begins with `head`; as much of a Buffer as the server asks for. */
function virtualFile(head: Buffer, dataBytes: number, noise: Buffer): Buffer {
  const length = head.length + dataBytes;
  const subarray = (start = 0, end = length): Buffer => {
    const bytes = Buffer.allocUnsafe(end - start);
    for (let at = start; at < end; ) {
      const from = at < head.length ? head : noise;
      const first = at < head.length ? at : (at - head.length) % noise.length;
      at += from.copy(bytes, at - start, first, Math.min(from.length, first + end - at));
    }
    return bytes;
  };
  return { length, subarray } as unknown as Buffer;
}

/** Shards, index and config of a model, by name. */
function lifeSizeFiles(size: LifeSize, deviation: number): Record<string, Buffer> {
  const noise = block(deviation);
  const shards: { name: string; bytes: number; shape: readonly number[] }[][] = [[]];
  let bytesInShard = 0;
  for (const { name, shape } of lifeSizeShapes(size, 32_000)) {
    const bytes = 2 * shape.reduce((product, extent) => product * extent, 1);
    if (bytesInShard + bytes > SHARD_BYTES) shards.push([]);
    bytesInShard = bytesInShard + bytes > SHARD_BYTES ? bytes : bytesInShard + bytes;
    shards.at(-1)?.push({ name, bytes, shape });
  }
  const files: Record<string, Buffer> = { "config.json": Buffer.from('{"model_type":"llama"}') };
  const weightMap: Record<string, string> = {};
  for (const [i, tensors] of shards.entries()) {
    const number = (n: number) => String(n).padStart(5, "0");
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    const header: Record<string, object> = {};
    let at = 0;
    for (const { name, bytes, shape } of tensors.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      header[name] = { dtype: "F16", shape, data_offsets: [at, at + bytes] };
      weightMap[name] = file;
      at += bytes;
    }
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    files[file] = virtualFile(Buffer.concat([length, json]), at, noise);
  }
  files["model.safetensors.index.json"] = Buffer.from(
    JSON.stringify({ metadata: {}, weight_map: weightMap }),
  );
  return files;
}

/** Shards that are downloaded whole, so their digests are the true ones. */
const SHARDS = 4;

function downloadFiles(byteLength: number): Record<string, Buffer> {
  const files: Record<string, Buffer> = { "config.json": Buffer.from("{}") };
  const weightMap: Record<string, string> = {};
  const dataBytes = byteLength / SHARDS;
  for (let number = 1; number <= SHARDS; number++) {
    const tensor = `weight.${number}`;
    const name = `model-0000${number}-of-0000${SHARDS}.safetensors`;
    const header = { [tensor]: { dtype: "F16", shape: [dataBytes / 2], data_offsets: [0, dataBytes] } };
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const file = virtualFile(Buffer.concat([length, json]), dataBytes, block(0.02));
    const sum = createHash("sha256");
    for (let at = 0; at < file.length; at += BLOCK_BYTES)
      sum.update(file.subarray(at, Math.min(at + BLOCK_BYTES, file.length)));
    nameDigest(file, sum.digest("hex"));
    files[name] = file;
    weightMap[tensor] = name;
  }
  files["model.safetensors.index.json"] = Buffer.from(
    JSON.stringify({ metadata: {}, weight_map: weightMap }),
  );
  return files;
}

function obey(hub: HubServer, order: Order): void {
  if (order !== "counts") hub.line = order;
  const requests = hub.requests.splice(0);
  const sentBytes = requests.reduce((sum, request) => sum + request.sentBytes, 0);
  process.send?.({ requests: requests.length, sentBytes } satisfies Counts);
}

const [downloadBytes = "1e9"] = process.argv.slice(2);
const download = { files: downloadFiles(Number(downloadBytes)) };
const repositories: Record<string, { files: Record<string, Buffer> }> = {
  "bench/download": download,
  "bench/same": download,
  "bench/triple": { files: downloadFiles(3 * Number(downloadBytes)) },
};
for (const size of ["7B", "13B"] as const) {
  for (const [role, deviation] of [
    ["base", 0.02],
    ["delta", 0.0004],
  ] as const) {
    const files = lifeSizeFiles(size, deviation);
    for (const [name, file] of Object.entries(files))
      if (name.endsWith(".safetensors"))
        nameDigest(file, createHash("sha256").update(`${size} ${role} ${name}`).digest("hex"));
    repositories[`bench/${size}-${role}`] = { files };
  }
}
const hub = await startHub(repositories);
process.on("message", (order: Order) => obey(hub, order));
process.on("disconnect", () => void hub.close().then(() => process.exit()));
process.send?.(hub.url);
