/** Where a path that doesn't exist leads, and what was meant by it. */
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { nearestName } from "../nearest.js";

export interface NearPath {
  /** The deepest folder on the way that exists. */
  readonly folder: string;
  /** A path that exists and is nearly the one that was given; null where there is none. */
  readonly meant: string | null;
}

export function nearPath(path: string): NearPath {
  const full = resolve(path);
  let [folder, name] = [dirname(full), basename(full)];
  while (!existsSync(folder) && dirname(folder) !== folder)
    [folder, name] = [dirname(folder), basename(folder)];
  const near = nearestName(name, namesIn(folder));
  const candidate = near === null ? null : join(folder, near, relative(join(folder, name), full));
  if (candidate === null || !existsSync(candidate)) return { folder, meant: null };
  return { folder, meant: isAbsolute(path) ? candidate : relative(process.cwd(), candidate) };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Not to be listed: then nothing in it was meant.
  }
}
