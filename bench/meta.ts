/**
 * `npm run bench -- --meta`: a merge from a base in Meta's layout, alternating with the same merge from the same base in
 * safetensors. The base is what `make-pair.ts` makes, laid out anew in as many files as Meta gave out layers of that size.
 */
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { gather, openView } from "../src/files/gather.js";
import { partName } from "../src/formats/meta/names.js";
import { openCheckpoint } from "../src/formats/open.js";
import { layOutShard } from "../src/formats/table.js";
import { reorderRows } from "../src/llama/row-order.js";
import { denseSpan, elementCount, onePiece, type TensorView } from "../src/tensor.js";
import { describePair, type LayerSize, makePair } from "./make-pair.js";
import { bring, filesIn, forget, settle } from "./page-cache.js";
import { runProgram } from "./program.js";
import { printRows, ratio, rowOf, timed } from "./rows.js";

const HEAD_ROWS = 128;
const CHUNK_ELEMENTS = 4 * 1024 * 1024;

/** Layers of 7B, 13B and 65B, and the files that Meta cut each of them into. */
const RELEASES: readonly { readonly files: number; readonly size: LayerSize }[] = [
  { files: 1, size: { width: 4096, inner: 11008 } },
  { files: 2, size: { width: 5120, inner: 13824 } },
  { files: 8, size: { width: 8192, inner: 22016 } },
];

/** Meta's name of a module, and the dimension in which it is split over files. */
const MODULES: Readonly<Record<string, readonly [name: string, dim: 0 | 1 | null]>> = {
  "self_attn.q_proj": ["attention.wq", 0],
  "self_attn.k_proj": ["attention.wk", 0],
  "self_attn.v_proj": ["attention.wv", 0],
  "self_attn.o_proj": ["attention.wo", 1],
  "mlp.gate_proj": ["feed_forward.w1", 0],
  "mlp.down_proj": ["feed_forward.w2", 1],
  "mlp.up_proj": ["feed_forward.w3", 0],
  input_layernorm: ["attention_norm", null],
  post_attention_layernorm: ["ffn_norm", null],
  "model.embed_tokens": ["tok_embeddings", 1],
  "model.norm": ["norm", null],
  lm_head: ["output", 0],
};

/** What file `number` of `files` has of a tensor, under Meta's name. */
function shareOf(tensor: TensorView, number: number, files: number): TensorView {
  const [, layer, module = ""] = /^(?:model\.layers\.(\d+)\.)?(.*)\.weight$/.exec(tensor.name) ?? [];
  const [metaName, dim] = MODULES[module] ?? ["", null];
  const span = denseSpan(tensor);
  if (span === null) throw new Error(`${tensor.name} isn't dense`);
  const strides = tensor.shape.length === 1 ? [1] : [tensor.shape[1] ?? 0, 1];
  const shape = tensor.shape.map((extent, at) => (at === dim ? extent / files : extent));
  const skipped = dim === null ? 0 : number * (shape[dim] ?? 0) * (strides[dim] ?? 0);
  const name = `${layer === undefined ? "" : `layers.${layer}.`}${metaName}.weight`;
  const share = onePiece({
    ...span,
    name,
    dtype: tensor.dtype,
    shape,
    strides,
    offsetBytes: span.offsetBytes + 2 * skipped,
  });
  return /\.w[qk]\.weight$/.test(name) ? (reorderRows(share, HEAD_ROWS, "transformers") ?? share) : share;
}

/** Writes a base in Meta's layout, and returns its folder. */
async function writeMeta(folder: string, base: string, files: number): Promise<string> {
  mkdirSync(folder);
  const { tensors, close } = await openCheckpoint(base);
  const memory = new Uint8Array(2 * CHUNK_ELEMENTS);
  for (let number = 0; number < files; number++) {
    const shares = tensors.map((tensor) => shareOf(tensor, number, files));
    const { pieces, placed } = layOutShard("bin", partName(number), shares);
    const fd = openSync(join(folder, partName(number)), "w");
    for (const { bytes, offsetBytes } of pieces) writeSync(fd, bytes, 0, bytes.length, offsetBytes);
    for (const { tensor: entry, offsetBytes } of placed) {
      const total = elementCount(entry.shape);
      for (let first = 0; first < total; first += CHUNK_ELEMENTS) {
        const count = Math.min(CHUNK_ELEMENTS, total - first);
        gather(openView(entry), first, count, memory, 0);
        writeSync(fd, memory, 0, 2 * count, offsetBytes + 2 * first);
      }
    }
    closeSync(fd);
  }
  const width = tensors.find(({ name }) => name === "model.norm.weight")?.shape[0] ?? 0;
  const layers = new Set(tensors.flatMap(({ name }) => /layers\.(\d+)\./.exec(name)?.[1] ?? [])).size;
  const params = { dim: width, n_heads: width / HEAD_ROWS, n_layers: layers, norm_eps: 1e-6, vocab_size: -1 };
  writeFileSync(join(folder, "params.json"), JSON.stringify(params));
  close();
  return folder;
}

/** Prints a row for each way the base is stored, from the page cache and cold. */
export async function benchMeta(root: string, parameters: number, runs: number): Promise<void> {
  const target = join(root, "target");
  for (const { files, size } of RELEASES) {
    const pair = makePair(root, parameters, 2, { size });
    console.log(`layers of width ${size.width}: ${describePair(pair)}, ${runs} runs`);
    const meta = await writeMeta(join(root, `meta-${files}`), pair.base, files);
    const all = filesIn([pair.base, pair.delta, meta]);
    const states = {
      "from the page cache": () => bring(all, pair.bytes),
      cold: () => forget(all),
    };
    for (const [state, prepare] of Object.entries(states)) {
      const ours = rowOf(`apply, Meta's base in ${files}, ${state}`);
      const theirs = rowOf(`apply, the same in safetensors, ${state}`);
      const clear = () => {
        rmSync(target, { recursive: true, force: true });
        settle();
        prepare();
      };
      const apply = (base: string) => () =>
        runProgram("apply", "--base", base, "--delta", pair.delta, "--target", target);
      for (let run = 0; run < runs; run++) {
        await timed(ours, clear, apply(meta));
        await timed(theirs, clear, apply(pair.base));
      }
      printRows([ours, theirs]);
      console.log(`  ratio to safetensors: ${ratio(ours, theirs)}\n`);
    }
    for (const folder of [meta, pair.base, pair.delta]) rmSync(folder, { recursive: true });
  }
}
