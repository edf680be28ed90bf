/** What a shard index gets that doesn't fit its shards. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Arguments,
  type BadInput,
  folderOf,
  PAIR,
  type Place,
  testBadInput,
} from "../support/bad-input.js";
import { safetensorsFile, writeModel } from "../support/model-folder.js";

const EMBED = "model.embed_tokens.weight";

/** The delta as two shards, its index rewritten. */
function withIndex({ root }: Place, change: (index: string) => string): Arguments {
  const delta = writeModel(join(root, "sharded"), PAIR.delta, { shards: 2 });
  const path = join(delta, "model.safetensors.index.json");
  writeFileSync(path, change(readFileSync(path, "utf8")));
  return { delta };
}

const INDEXES: BadInput[] = [
  {
    name: "names a shard that is missing",
    exit: 4,
    code: "shard-missing",
    make: (place) =>
      withIndex(place, (index) => index.replaceAll("model-00002-of-00002", "model-00009-of-00009")),
    says: ["model-00009-of-00009.safetensors", "fetch the missing"],
  },
  {
    name: "names a tensor twice",
    exit: 4,
    code: "duplicate-tensor",
    make: (place) =>
      withIndex(place, (index) => index.replace('"weight_map":{', `"weight_map":{"${EMBED}":"x",`)),
    says: ["model.safetensors.index.json", EMBED, "twice"],
  },
  ...[
    "../base/model.safetensors",
    "/etc/passwd",
    "..",
    "sub/model.safetensors",
    "C:\\\\model.safetensors",
  ].map(
    (shard): BadInput => ({
      name: `names the file ${shard}`,
      exit: 4,
      code: "shard-outside-folder",
      make: (place) => withIndex(place, (index) => index.replace("model-00002-of-00002.safetensors", shard)),
      says: ["model.safetensors.index.json", "tensor:   ", JSON.stringify(JSON.parse(`"${shard}"`))],
    }),
  ),
  {
    name: "names a tensor no shard has",
    exit: 4,
    code: "tensor-missing-in-shard",
    make: (place) =>
      withIndex(place, (index) =>
        index.replace('"weight_map":{', '"weight_map":{"ghost":"model-00001-of-00002.safetensors",'),
      ),
    says: ["model.safetensors.index.json", "tensor:   ghost", "in no shard"],
  },
  {
    name: "is no index",
    exit: 4,
    code: "index-malformed",
    make: (place) => withIndex(place, () => '{"metadata":{}}'),
    says: ["model.safetensors.index.json", "weight_map"],
  },
  {
    name: "is absent, and two files hold one tensor",
    exit: 4,
    code: "duplicate-tensor",
    make: (place) => ({
      delta: folderOf(place, {
        "a.safetensors": safetensorsFile(PAIR.delta.slice(0, 3)),
        "b.safetensors": safetensorsFile(PAIR.delta.slice(2)),
      }),
    }),
    says: ["b.safetensors", "a.safetensors", "tensor:   model.layers.0.self_attn.k_proj.weight"],
  },
];

testBadInput("an index that", INDEXES);
