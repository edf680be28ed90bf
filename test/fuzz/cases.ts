/** One case of a target, made of the run's seed and the case's number, and what becomes of it. */
import fc from "fast-check";
import { isApplyDeltaError } from "../../src/errors.js";
import { mutate } from "./mutate.js";
import { randomFrom } from "./random.js";
import type { Target } from "./targets.js";

/** CPU time a case may take: time on the clock says as much of the machine's other work. */
export const MAX_CASE_MS = 1_000;

/** Of every so many cases, one is generated and the others are changed files. */
const GENERATED_OF = 4;

export type CaseMaker = (number: number) => Buffer;

/** Makes any case of a run by its number. */
export function caseMaker(target: Target, seed: number): CaseMaker {
  const seeds = target.seeds();
  return (number) => {
    const random = randomFrom(target.name, seed, number);
    if (target.generator === null || number % GENERATED_OF !== 0) return mutate(random, seeds);
    const [made = Buffer.alloc(0)] = fc.sample(target.generator, { numRuns: 1, seed: random(2 ** 31) });
    return random(4) === 0 ? mutate(random, [made, ...seeds]) : made;
  };
}

export interface CaseResult {
  /** An error's code, or `valid`. */
  readonly outcome: string;
  readonly cpuMs: number;
}

/** Runs one case. Throws what a reader must never throw, or what breaks its promises. */
export async function runCase(target: Target, bytes: Buffer): Promise<CaseResult> {
  const before = process.cpuUsage();
  const outcome = await outcomeOf(target, bytes);
  const { user, system } = process.cpuUsage(before);
  const cpuMs = (user + system) / 1000;
  if (cpuMs > MAX_CASE_MS) throw new Error(`the case took ${cpuMs.toFixed(0)} ms`);
  checkPrototypes();
  return { outcome, cpuMs };
}

async function outcomeOf(target: Target, bytes: Buffer): Promise<string> {
  try {
    await target.read(bytes);
    return "valid";
  } catch (error) {
    if (!isApplyDeltaError(error)) throw error;
    if (!error.details.hint) throw new Error("an error without a way out", { cause: error });
    if (/[^\P{Cc}\n]/u.test(error.format()))
      throw new Error("a message with control characters", { cause: error });
    return error.code;
  }
}

const BUILT_IN = [Object, Array, Map, Set, Function, String, Number, Error, Promise, Uint8Array, Buffer].map(
  ({ name, prototype }) => ({ name, prototype: prototype as object, keys: shapeOf(prototype) }),
);

function shapeOf(prototype: object): string {
  return Reflect.ownKeys(prototype).map(String).join();
}

function checkPrototypes(): void {
  for (const { name, prototype, keys } of BUILT_IN) {
    if (shapeOf(prototype) !== keys) throw new Error(`${name}.prototype was changed`);
  }
}
