/** `--part` from what a scheduler tells its jobs. */
import { ApplyDeltaError } from "../errors.js";
import type { Environment } from "./environment.js";

/**
 * `i/n` as it is; `slurm`: from the task of a job array; `kubernetes/n`: from the index of an Indexed Job, which doesn't
 * tell its pods how many there are. Errors: `bad-usage`.
 */
export function readPartWord(word: string, env: Environment): string {
  const [engine, count = ""] = word.split("/");
  if (engine === "kubernetes") {
    const index = variable(env, "JOB_COMPLETION_INDEX", "in a pod of an Indexed Job");
    return `${index + 1}/${count}`;
  }
  if (word !== "slurm") return word;
  const inArray = { SLURM_ARRAY_TASK_STEP: "1", ...env };
  const [task = 0, first = 0, step = 1, tasks] = (["ID", "MIN", "STEP", "COUNT"] as const).map((name) =>
    variable(inArray, `SLURM_ARRAY_TASK_${name}`, "in a task of a job array (sbatch --array=1-4)"),
  );
  return `${(task - first) / step + 1}/${tasks}`;
}

function variable(env: Environment, name: keyof Environment, where: string): number {
  const text = env[name] ?? "";
  if (/^\d+$/.test(text)) return Number(text);
  throw new ApplyDeltaError("bad-usage", `${name} isn't set, so the part can't be read from it.`, {
    got: JSON.stringify(text),
    hint: `Run this ${where}, or give the part: --part 1/4.`,
  });
}
