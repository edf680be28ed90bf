/**
 * Counts steps instead of seconds: the same input takes the same number of them on any machine. To be imported before
 * what is counted, since V8 counts the blocks of functions that it compiles from then on.
 */
import { Session } from "node:inspector";

const session = new Session();
session.connect();
session.post("Profiler.enable");
session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });

/** Items of the lists that V8's own methods went through. */
let items = 0;

/** Methods of lists whose work grows with the list, and which V8 doesn't count. */
const LINEAR = [
  "includes",
  "indexOf",
  "lastIndexOf",
  "splice",
  "concat",
  "slice",
  "join",
  "unshift",
] as const;

/**
 * How often blocks of the program's own code are entered while `action` runs, and how many items the lists have that
 * those methods go through. What worker threads do isn't counted.
 */
export async function countSteps(action: () => Promise<unknown>): Promise<number> {
  takeBlocks();
  items = 0;
  const restore = LINEAR.map((name) => countItems(name));
  try {
    await action();
  } finally {
    for (const each of restore) each();
  }
  return takeBlocks() + items;
}

/** Since the last time. */
function takeBlocks(): number {
  let blocks = 0;
  session.post("Profiler.takePreciseCoverage", (_, { result }) => {
    for (const { url, functions } of result)
      if (url.includes("/dist/src/"))
        for (const { ranges } of functions) for (const { count } of ranges) blocks += count;
  });
  return blocks;
}

/** Gives what undoes it. */
function countItems(name: (typeof LINEAR)[number]): () => void {
  const method = Array.prototype[name] as (...args: unknown[]) => unknown;
  const counting = function (this: unknown[], ...args: unknown[]) {
    const given = method.apply(this, args);
    // What is taken from the end costs no more than that.
    items += name === "slice" || name === "splice" ? (given as unknown[]).length : this.length;
    return given;
  };
  const define = (value: unknown) =>
    Object.defineProperty(Array.prototype, name, { value, writable: true, configurable: true });
  define(counting);
  return () => define(method);
}
