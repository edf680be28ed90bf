/**
 * Runs every function of the library in a process that holds nothing else, looking at the process before and after
 * each call, and writes what it saw to a file. It ends by itself, or the test that started it waits in vain.
 * Arguments: the folder with the models, the address of a Hub, the file.
 */
import { getEventListeners } from "node:events";
import { existsSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as Library from "../../src/index.js";
import { QUICK } from "../support/hub-run.js";
import { TOKEN } from "../support/hub-server.js";

/** What a call did to the process. */
export interface Effects {
  readonly call: string;
  /** How it ended: `done`, or an error's code. */
  readonly ended: string;
  /** Whatever is not as it was, in words. */
  readonly changes: readonly string[];
  /** Variables of the environment that were read. */
  readonly read: readonly string[];
}

const [root = "", endpoint = "", reportFile = ""] = process.argv.slice(2);
const at = (name: string) => join(root, name);

/** Everything a process has one of. */
function snapshot(signal: AbortSignal): Record<string, unknown> {
  const emitters = { process, stdout: process.stdout, stderr: process.stderr };
  const listeners = Object.entries(emitters).flatMap(([name, emitter]) =>
    emitter.eventNames().map((event) => `${name} ${String(event)} ${emitter.listenerCount(event)}`),
  );
  const fds = existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd") : [];
  return {
    listeners: listeners.sort(),
    "listeners of the signal": getEventListeners(signal, "abort").length,
    environment: { ...environment },
    "working folder": process.cwd(),
    umask: process.umask(),
    title: process.title,
    "exit code": process.exitCode,
    arguments: [...process.argv, ...process.execArgv],
    "open handles": process.getActiveResourcesInfo().sort(),
    "open files": fds.flatMap((fd) => linkOf(fd)).sort(),
    globals: Object.getOwnPropertyNames(globalThis).sort(),
    prototypes: [Object, Array, String, Promise, Uint8Array].map(({ prototype }) =>
      Object.getOwnPropertyNames(prototype).sort(),
    ),
  };
}

/** The one that reads the folder is gone by the time. */
function linkOf(fd: string): string[] {
  try {
    return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
  } catch {
    return [];
  }
}

/** Node's loader looks at the first two whenever a module is loaded, undici at the others when it is. */
const NOT_OURS = /^(?:NODE_|WATCH_REPORT_DEPENDENCIES$|UNDICI_|JEST_WORKER_ID$)/;

const environment = process.env;
const read = new Set<string>();
process.env = new Proxy(environment, {
  get(variables, name) {
    if (typeof name === "string" && !NOT_OURS.test(name)) read.add(name);
    return variables[name as string];
  },
});

const library = (await import("vicuna-apply-delta" as string)) as typeof Library;
const effects: Effects[] = [];

/** What ended in this turn of the event loop is still counted: a promise may settle in the callback of a request. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function observe(call: string, run: (signal: AbortSignal, stop: () => void) => Promise<unknown>) {
  const controller = new AbortController();
  await turn();
  const before = snapshot(controller.signal);
  read.clear();
  let ended = "done";
  try {
    await run(controller.signal, () => controller.abort());
  } catch (error) {
    ended = library.isApplyDeltaError(error) ? error.code : String(error);
  }
  const seen = [...read].sort();
  await turn();
  const after = snapshot(controller.signal);
  const changes = Object.keys(before)
    .filter((what) => JSON.stringify(before[what]) !== JSON.stringify(after[what]))
    .map((what) => `${what}: ${JSON.stringify(before[what])} -> ${JSON.stringify(after[what])}`);
  effects.push({ call, ended, changes, read: seen });
}

const sides = { base: at("base"), delta: at("delta") };
const merge = { ...sides, maxShardBytes: 20_000 };
const hub = { endpoint, cacheFolder: at("hub"), token: null, tokenFile: null, transfer: QUICK };

await observe("planMerge", (signal) => library.planMerge({ ...merge, target: at("planned"), signal }));
await observe("applyDelta", (signal) =>
  library.applyDelta({ ...merge, target: at("made"), checksums: true, verify: true, signal }),
);
await observe("planDelta", (signal) =>
  library.planDelta({ base: at("base"), tuned: at("made"), delta: at("planned"), signal }),
);
await observe("makeDelta", (signal) =>
  library.makeDelta({ base: at("base"), tuned: at("made"), delta: at("delta-again"), signal }),
);
await observe("compareModels", (signal) => library.compareModels({ a: at("base"), b: at("made"), signal }));
await observe("inspectModel", (signal) =>
  library.inspectModel({ model: at("delta"), base: at("base"), signal }),
);
await observe("verifyTarget", (signal) =>
  library.verifyTarget({ target: at("made"), sources: sides, signal }),
);
await observe("listReleases", () => library.listReleases());
await observe("inspectModel of a model on the Hub", (signal) =>
  library.inspectModel({ model: "owner/model", hub, signal }),
);
await observe("applyDelta, stopped", (signal, stop) =>
  library.applyDelta({ ...merge, target: at("stopped"), signal, onProgress: stop }),
);
await observe("applyDelta, stopped while it downloads", (signal, stop) =>
  library.applyDelta({
    base: "owner/model",
    delta: at("delta"),
    target: at("stopped"),
    skipBaseCheck: true,
    hub: { ...hub, cacheFolder: at("another-hub") },
    signal,
    onProgress: ({ activity }) => {
      if (activity === "downloading") stop();
    },
  }),
);
await observe("applyDelta to a target that exists", (signal) =>
  library.applyDelta({ ...merge, target: at("made"), dtype: "F32", signal }),
);
await observe("applyDelta of nothing", (signal) =>
  library.applyDelta({ ...merge, base: at("nothing"), target: at("none"), signal }),
);
await observe("applyDelta with an odd option", (signal) =>
  library.applyDelta({ ...merge, target: at("none"), threads: 0, signal }),
);
const destination = { repository: "owner/made", hub: { ...hub, token: TOKEN } };
await observe("checkUpload", (signal) => library.checkUpload({ ...destination, signal }));
await observe("uploadModel", (signal) => library.uploadModel({ ...destination, folder: at("made"), signal }));
await observe("uploadModel, stopped", (signal, stop) =>
  library.uploadModel({
    ...destination,
    repository: "owner/stopped",
    folder: at("made"),
    signal,
    reporter: { note: stop, progress: stop },
  }),
);
writeFileSync(reportFile, JSON.stringify(effects));
