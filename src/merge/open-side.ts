import { ApplyDeltaError } from "../errors.js";
import { notADelta } from "../formats/find-parts.js";
import { type Checkpoint, configOf, inOrder } from "../formats/open.js";
import { formatTitles } from "../formats/table.js";
import type { Model, OpenModel } from "../hub/models.js";
import { withPlainNames } from "../llama/plain-names.js";
import type { TensorView } from "../tensor.js";
import { plural } from "../units.js";

/**
 * Opens a model that takes part in a sum, its tensors under LLaMA's own names. Of several sizes in its folder it is the
 * one that fits `beside`. Errors: those of opening; `no-weights`.
 */
export async function openSide(model: Model, beside?: Model): Promise<OpenModel> {
  const opened = await model.open(beside && (async () => (await beside.open()).tensors));
  const placeholders = opened.tensors.filter(isPlaceholder);
  if (placeholders.length > 0) throw isPartitioned(placeholders, opened.tensors);
  return renamed(opened);
}

/** The same for what is added. Errors: `not-a-delta`, too, where only whole models are stored like that. */
export async function openDelta(model: Model): Promise<OpenModel> {
  const opened = await openSide(model);
  if (opened.config === null) return opened;
  throw notADelta(
    opened.path,
    `${formatTitles(opened.formats)} weights, ${plural(opened.files.length, "file")}`,
  );
}

/** Whether it is what DeepSpeed ZeRO-3 leaves of a parameter whose elements it has shared out. */
export function isPlaceholder({ name, shape }: TensorView): boolean {
  return shape.length === 1 && shape[0] === 0 && name.endsWith(".weight");
}

/** The model under LLaMA's names, but for one that is more than a LLaMA by its config.json and needs its own. */
export function renamed<Side extends Checkpoint>(side: Side): Side {
  const architectures = configOf(side)?.architectures ?? [];
  if (architectures.some((name) => name.endsWith("ForConditionalGeneration"))) return side;
  const plain = withPlainNames(side.tensors);
  if (plain === null) return side;
  return {
    ...side,
    tensors: inOrder(plain.tensors, side.formats),
    notes: [...side.notes, `${side.path}: ${plain.sentence}.`],
  };
}

function isPartitioned(placeholders: readonly TensorView[], all: readonly TensorView[]): ApplyDeltaError {
  const [first] = placeholders as [TensorView];
  const message = "The file holds placeholders of DeepSpeed ZeRO-3, not the weights.";
  return new ApplyDeltaError("no-weights", message, {
    file: first.pieces[0].file.path,
    tensor: first.name,
    expected: "tensors with elements",
    got: `${placeholders.length} of ${all.length} tensors of shape [0]`,
    hint: "Run zero_to_fp32.py, which DeepSpeed leaves in the checkpoint's folder, and give the weights that it writes.",
  });
}
