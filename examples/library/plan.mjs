/**
 * Says what a merge would do and how much room it needs, without making anything.
 *
 *   node examples/library/plan.mjs examples/tiny/base examples/tiny/delta merged
 */
import { planMerge } from "vicuna-apply-delta";

const [base, delta, target] = process.argv.slice(2);
const plan = await planMerge({ base, delta, target, maxShardBytes: 220_000 });

for (const { file, bytes, tensors } of plan.shards)
  console.log(`${file}: ${bytes} bytes, ${tensors} tensors`);
for (const { name, action, reason } of plan.notAdded) console.log(`${name} is ${action}: ${reason}`);
console.log(`to write: ${plan.bytesToWrite} bytes; enough room: ${plan.bytesToWrite < plan.freeBytes}`);
console.log(`the base: ${plan.baseCheck?.verdict}`);
