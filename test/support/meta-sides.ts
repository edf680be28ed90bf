/** Golden models in Meta's layout and as converted, with a tuned model and its delta beside them. */
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { SumDType } from "../../src/tensor.js";
import { projectPath } from "./fixture-path.js";
import { floats, readSafetensorsFile, type Tensor, temporaryFolder, writeModel } from "./model-folder.js";
import { decodeNumbers, roundTo, seededNormals } from "./numbers.js";
import { llamaPieces, sentencePieceModel } from "./sentencepiece-samples.js";

export const META_FIXTURES = projectPath("test/fixtures/meta");
const ROWS = 40;

/** The files beside the weights. */
export const config = (torchDType: string) => ({
  "config.json": JSON.stringify({
    architectures: ["LlamaForCausalLM"],
    torch_dtype: torchDType,
    vocab_size: ROWS,
  }),
  "tokenizer.model": sentencePieceModel(llamaPieces(ROWS)).toString("latin1"),
});

/** What the converter made of a folder, without the buffers that loaders compute. */
export function converted(golden: string): Tensor[] {
  return readSafetensorsFile(join(META_FIXTURES, `${golden}.safetensors`)).filter(
    ({ name }) => !/inv_freq$/.test(name),
  );
}

/** Each tensor with its numbers changed, in its own dtype. */
function changed(tensors: readonly Tensor[], change: (value: number) => number): Tensor[] {
  return tensors.map(({ name, dtype, shape, bytes }) => {
    const values = decodeNumbers(dtype as SumDType, bytes).map((value) =>
      roundTo(dtype as SumDType, change(value)),
    );
    return floats(name, dtype as SumDType, shape, values);
  });
}

export interface MetaSides {
  readonly root: string;
  /** Meta's folder, and the converted model. */
  readonly meta: string;
  readonly base: string;
  readonly tuned: string;
  readonly delta: string;
}

/** `base`: what the delta is made from; by default what the converter makes. */
export function sidesOf(
  context: TestContext,
  folder: string,
  golden: string,
  base = converted(golden),
): MetaSides {
  const root = temporaryFolder(context);
  const normal = seededNormals(5);
  // By less than half of each value, so that every sum is exact.
  const tuned = changed(base, (value) => value * (1 + 0.1 * Math.tanh(normal())));
  const numbers = (tensors: readonly Tensor[]) =>
    tensors.map(({ dtype, bytes }) => decodeNumbers(dtype as SumDType, bytes));
  const [from, to] = [numbers(base), numbers(tuned)];
  const delta = base.map(({ name, dtype, shape }, i) =>
    floats(
      name,
      dtype as SumDType,
      shape,
      (to[i] ?? []).map((value, at) => value - (from[i]?.[at] ?? 0)) as Float64Array,
    ),
  );
  const files = config(base[0]?.dtype === "BF16" ? "bfloat16" : "float16");
  const write = (name: string, tensors: readonly Tensor[]) =>
    writeModel(join(root, name), tensors, { files });
  cpSync(join(META_FIXTURES, folder), join(root, "LLaMA", "7B"), { recursive: true });
  writeFileSync(join(root, "LLaMA", "tokenizer.model"), files["tokenizer.model"], "latin1");
  return {
    root,
    meta: join(root, "LLaMA", "7B"),
    base: write("base", converted(golden)),
    tuned: write("tuned", tuned),
    delta: write("delta", delta),
  };
}
