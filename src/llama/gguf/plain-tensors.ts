import type { TensorView } from "../../tensor.js";
import type { ModelConfig } from "../documents.js";
import { reorderRows } from "../row-order.js";
import { headsOf, plainNameOf } from "./tensor-names.js";

/**
 * A GGUF's tensors as a Hugging Face model has them: under transformers' names, q and k with their rows in its order.
 * Those of other names stay as they are.
 */
export function plainTensors(tensors: readonly TensorView[], config: ModelConfig): TensorView[] {
  return tensors.map((tensor) => {
    const name = plainNameOf(tensor.name);
    if (name === null) return tensor;
    const heads = headsOf(name, config);
    const view = heads === null ? tensor : reorderRows(tensor, (tensor.shape[0] ?? 0) / heads, "meta");
    return { ...(view ?? tensor), name };
  });
}
