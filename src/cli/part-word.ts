/** `--part` from what a scheduler tells its jobs. */
import { ApplyDeltaError } from "../errors.js";
import type { Environment } from "./environment.js";

/**
 * `i/n` as it is; `slurm`: from the task of a job array; `kubernetes/n`: from the index of an Indexed Job, which doesn't
 * tell its pods how many there are. Errors: `bad-usage`.
 */
export function readPartWord(word: string, env: Environment): string {
  if (word === "slurm") return readSlurmTask(env);
  const [engine, count = ""] = word.split("/");
  if (engine !== "kubernetes") return word;
  return `${variable(env, "JOB_COMPLETION_INDEX", "in a pod of an Indexed Job") + 1}/${count}`;
}

/** The tasks are numbered `MIN`, `MIN + STEP` and so on; without a `STEP` it is 1. */
function readSlurmTask(env: Environment): string {
  const numberOf = (name: "ID" | "MIN" | "STEP" | "COUNT") =>
    variable(env, `SLURM_ARRAY_TASK_${name}`, "in a task of a job array (sbatch --array=1-4)");
  const step = env.SLURM_ARRAY_TASK_STEP === undefined ? 1 : numberOf("STEP");
  return `${(numberOf("ID") - numberOf("MIN")) / step + 1}/${numberOf("COUNT")}`;
}

function variable(env: Environment, name: keyof Environment, where: string): number {
  const text = env[name] ?? "";
  if (/^\d+$/.test(text)) return Number(text);
  throw new ApplyDeltaError("bad-usage", `${name} isn't set, so the part can't be read from it.`, {
    got: JSON.stringify(text),
    hint: `Run this ${where}, or give the part: --part 1/4.`,
  });
}
