/**
 * Counts steps instead of seconds: the same input takes the same number of them on any machine and any Node.js. To be
 * imported before what is counted, since V8 counts the blocks of functions that it compiles from then on.
 */
import { Session } from "node:inspector";
import { setFlagsFromString } from "node:v8";

// A call that an optimizing compiler inlines isn't counted.
setFlagsFromString("--no-opt");
setFlagsFromString("--no-maglev");

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
 * How often the program's own functions are called while `action` runs, or the block in each that is entered most often,
 * and how many items the lists have that those methods go through. What worker threads do isn't counted.
 */
export async function countSteps(action: () => Promise<unknown>): Promise<number> {
  takeSteps();
  const restore = LINEAR.map((name) => countItems(name));
  try {
    await action();
  } finally {
    for (const each of restore) each();
  }
  return takeSteps();
}

/** From then on only each sixteenth turn is looked at, and sixteen count as one: a look takes 2 ms. */
const MOST_LOOKS = 500;

/** The most of them between two turns of the event loop, in which a signal would have been seen. */
export async function countStepsAtOnce(action: () => Promise<unknown>): Promise<number> {
  let [longest, turns] = [0, 0];
  const look = () => {
    longest = Math.max(longest, takeSteps());
  };
  let turn = setImmediate(function next() {
    if (++turns < MOST_LOOKS || turns % 16 === 0) look();
    turn = setImmediate(next);
  });
  await countSteps(action).finally(() => clearImmediate(turn));
  return longest;
}

/** Since the last time. */
function takeSteps(): number {
  let steps = items;
  items = 0;
  session.post("Profiler.takePreciseCoverage", (_, { result }) => {
    for (const { url, functions } of result)
      if (url.includes("/dist/src/"))
        // The most of a function and no sum: V8 leaves out a block that is entered as often as the one around it.
        for (const { ranges } of functions) steps += Math.max(...ranges.map(({ count }) => count));
  });
  return steps;
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
