/**
 * `npm run bench -- --hub PYTHON`: a Hub on loopback, at 0, 30 and 100 ms and 40 MB/s a connection. Times a download of
 * ours against the `hf download` of that Python (huggingface_hub), with processor time, requests and peak memory, and of
 * merges that download or stream both sides; and what a dry run and `inspect --base` read of a 7B and a 13B that stay on
 * the Hub.
 */
import { execFileSync, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatBytes } from "../src/units.js";
import type { Counts, Order } from "./life-size-hub.js";
import { BIN } from "./program.js";

const BYTES_PER_SECOND = 40e6;
const LATENCIES_MS = [0, 30, 100];

/** Runs a command and prints what it took: seconds, processor seconds, peak bytes. */
const MEASURE = `
import json, resource, subprocess, sys, time
start = time.time()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([time.time() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, done.returncode, done.stderr.decode()[-500:]]))
`;

const DOWNLOAD = fileURLToPath(new URL("./download.js", import.meta.url));

/** Base and delta are the same noise, which is as good as any to a network. */
const MERGE = [
  ...["--base", "bench/download", "--delta", "bench/same", "--target", "out"],
  ...["--skip-base-check", "--force", "--no-sync", "--max-shard-size", "200MB"],
];

/** Fetches the bytes that the merge does, each file by a connection of its own, and drops them. */
function curlBoth(url: string): string[] {
  const addresses = ["bench/download", "bench/same"].flatMap((repository) =>
    [1, 2, 3, 4].map((n) => `${url}/${repository}/resolve/main/model-0000${n}-of-00004.safetensors`),
  );
  const outputs = addresses.flatMap((address) => ["--output", "/dev/null", address]);
  return [
    "curl",
    "--silent",
    "--show-error",
    "--fail",
    "--location",
    "--parallel",
    "--parallel-immediate",
    ...outputs,
  ];
}

const percent = (share: number) => `${Math.round(100 * share)} %`;

/** Runs a command that reads from the Hub, prints a line of what it took, and gives its seconds and those of processor time. */
async function measureOnHub(
  url: string,
  tell: (order: Order) => Promise<Counts>,
  python: string,
  what: string,
  command: readonly string[],
): Promise<{ seconds: number; processor: number }> {
  const home = mkdtempSync(join(tmpdir(), "vicuna-bench-hub-"));
  await tell("counts");
  const env = { ...process.env, HF_ENDPOINT: url, HF_HOME: home, HF_HUB_OFFLINE: "", HF_TOKEN: "" };
  const output = execFileSync(python, ["-c", MEASURE, ...command], { env, cwd: home, encoding: "utf8" });
  const [seconds, processor, peak, status, stderr] = JSON.parse(output) as [
    number,
    number,
    number,
    number,
    string,
  ];
  const { requests, sentBytes } = await tell("counts");
  rmSync(home, { recursive: true });
  if (status !== 0) throw new Error(`${what} failed:\n${stderr}`);
  const columns = [
    `${seconds.toFixed(1)} s`,
    `${processor.toFixed(1)} s`,
    `${requests}`,
    formatBytes(sentBytes),
  ];
  console.log(
    `  ${what.padEnd(34)} ${[...columns, formatBytes(peak)].map((text) => text.padStart(9)).join(" ")}`,
  );
  return { seconds, processor };
}

export async function benchHub(python: string, downloadBytes: number): Promise<void> {
  const hub = fork(fileURLToPath(new URL("./life-size-hub.js", import.meta.url)), [String(downloadBytes)]);
  const next = <T>() => new Promise<T>((resolve) => hub.once("message", (message) => resolve(message as T)));
  const url = await next<string>();
  const tell = (order: Order) => {
    const answer = next<Counts>();
    hub.send(order);
    return answer;
  };
  const measure = (what: string, command: readonly string[]) =>
    measureOnHub(url, tell, python, what, command);
  const ours = (...args: string[]) => [process.execPath, BIN, ...args];
  const pair = (size: string) => [
    "--base",
    `bench/${size}-base`,
    "--delta",
    `bench/${size}-delta`,
    "--target",
    "out",
  ];
  console.log(
    `  ${"".padEnd(34)} ${["time", "processor", "requests", "sent", "peak"].map((text) => text.padStart(9)).join(" ")}`,
  );
  for (const latencyMs of LATENCIES_MS) {
    console.log(`${latencyMs} ms, ${formatBytes(BYTES_PER_SECOND)} a second and connection`);
    await tell({ latencyMs, bytesPerSecond: BYTES_PER_SECOND });
    const download = (model: string, bytes: number) =>
      measure(`download ${formatBytes(bytes)}`, [process.execPath, DOWNLOAD, url, model]);
    const once = await download("bench/download", downloadBytes);
    if (latencyMs === 0) {
      const thrice = await download("bench/triple", 3 * downloadBytes);
      const eachGb = ((thrice.processor - once.processor) / 2 / downloadBytes) * 1e9;
      console.log(`  each further GB takes ${eachGb.toFixed(1)} s of processor time`);
    }
    await measure("hf download", [python, "-m", "huggingface_hub.cli.hf", "download", "bench/download"]);
    await measure(`merge, ${formatBytes(2 * downloadBytes)}`, ours(...MERGE));
    const streamed = await measure(
      `merge with --stream, ${formatBytes(2 * downloadBytes)}`,
      ours(...MERGE, "--stream"),
    );
    const plain = await measure("8 connections of curl to nowhere", curlBoth(url));
    console.log(
      `  --stream, its start and its writing included: ${percent(plain.seconds / streamed.seconds)} of their speed`,
    );
    for (const size of ["7B", "13B"]) {
      await measure(`dry run, ${size}`, ours(...pair(size), "--dry-run", "--force"));
      await measure(
        `dry run without base check, ${size}`,
        ours(...pair(size), "--dry-run", "--skip-base-check"),
      );
      await measure(
        `inspect --base, ${size}`,
        ours("inspect", `bench/${size}-delta`, "--base", `bench/${size}-base`),
      );
    }
  }
  hub.disconnect();
}
