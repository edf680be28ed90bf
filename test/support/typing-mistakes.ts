/** The command lines of docs/typing-mistakes.md, in the order of its sections. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Mistake } from "./mistake-page.js";
import { tinyPair, writeModel } from "./model-folder.js";
import { writeFiles } from "./vicuna-folders.js";

/** A base and a delta of a few kilobytes, under the names that the commands use. */
function writePair(root: string): void {
  const { base, delta } = tinyPair();
  writeModel(join(root, "llama-7b"), base);
  writeModel(join(root, "vicuna-7b-delta-v1.1"), delta, { format: "torch", shards: 2 });
}

const nothing = () => {};

const DELTA = "--delta vicuna-7b-delta-v1.1";
const REST = `${DELTA} --target vicuna-7b`;

const usage = (heading: string, command: string, make: Mistake["make"] = nothing): Mistake => {
  return { heading, command, exit: 2, make };
};

export const TYPING_MISTAKES: Mistake[] = [
  { ...usage("No arguments", ""), words: [] },
  usage("A command with a typo", "verfy vicuna-7b"),
  usage("A command that isn't the first word", "--no-progress compare vicuna-7b vicuna-13b"),
  usage("An option with a typo", `--bose llama-7b ${REST}`),
  usage("A command of another tool", `merge --base llama-7b ${REST}`),
  usage("An option of another tool", `--base llama-7b ${DELTA} --output vicuna-7b`),
  usage("An option given twice", "--base llama-7b --base vicuna-7b-delta-v1.1 --target vicuna-7b"),
  usage("An option cut short", `--base llama-7b ${REST} --max-shard 5GB`),
  usage("One hyphen", `-base llama-7b ${REST}`),
  usage("A value left out in the middle", "--base llama-7b --delta --target vicuna-7b"),
  usage("A value left out at the end", `--base llama-7b ${DELTA} --target`),
  usage("A variable of the shell that isn't set", `--base llama-7b ${DELTA} --target=`),
  usage("Paths without their options", "llama-7b vicuna-7b-delta-v1.1 vicuna-7b", writePair),
  usage("An option left out", "--base llama-7b vicuna-7b-delta-v1.1 --target vicuna-7b", writePair),
  usage("A space in a path", `--base my models/llama-7b ${REST}`, (root) =>
    mkdirSync(join(root, "my models/llama-7b"), { recursive: true }),
  ),
  {
    ...usage("A glob that the shell expands", `--base llama-7b/* ${REST}`, writePair),
    words: ["--base", "llama-7b/config.json", "llama-7b/model.safetensors", ...REST.split(" ")],
  },
  usage("A size without its unit", `--base llama-7b ${REST} --max-shard-size 5`),
  usage("A dtype that there isn't", `--base llama-7b ${REST} --dtype fp8`),
  usage("A number that is none", `--base llama-7b ${REST} --threads all`),
  {
    heading: "A glob or a ~ in quotes",
    command: `--base '$HOME/llama-7b' ${REST}`,
    exit: 3,
    make: writePair,
  },
  {
    heading: "A folder of models",
    command: `--base LLaMA ${REST}`,
    exit: 4,
    make: (root) => {
      const { base } = tinyPair();
      for (const size of ["7B", "13B"]) writeModel(join(root, "LLaMA", size), base);
      writePair(root);
    },
  },
  {
    heading: "A file that holds no weights",
    command: `--base llama-7b/config.json ${REST}`,
    exit: 4,
    make: (root) => {
      writePair(root);
      writeFiles(root, "llama-7b", { "config.json": "{}\n" });
    },
  },
  {
    heading: "A delta of the Hub as the base",
    command: "--base lmsys/vicuna-7b-delta-v1.1 --delta lmsys/vicuna-7b-v1.1 --target vicuna-7b",
    exit: 5,
    make: nothing,
  },
  {
    heading: "A path that looks like a name on the Hub",
    command: `--base modles/llama-7b ${REST}`,
    exit: 3,
    make: (root) => {
      writePair(root);
      writeModel(join(root, "models", "llama-7b"), tinyPair().base);
    },
  },
  {
    heading: "A name on the Hub with a typo",
    command: "--base llama-7b --delta lmsys/vicuna-7b-delta-1.1 --target vicuna-7b",
    exit: 3,
    make: writePair,
  },
  {
    heading: "No network",
    command: `--base huggyllama/llama-7b ${REST}`,
    env: { HF_HUB_OFFLINE: "", HF_ENDPOINT: "http://127.0.0.1:1" },
    exit: 3,
    make: writePair,
  },
];
