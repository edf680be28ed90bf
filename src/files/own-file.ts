/**
 * Writing files of our own in places that others can write to, too: a shared staging folder, a shared cache. A link
 * planted there under a name of ours would lead the write to another file. All functions throw the system's errors, and
 * errors made like them.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { errnoOf } from "../errors.js";
import { quietly } from "./write-errors.js";

const { O_CREAT, O_EXCL, O_NONBLOCK = 0, O_NOFOLLOW = 0, O_APPEND, O_RDWR, O_WRONLY } = constants;

/** `new`: it mustn't be there. `empty`: what is in it goes. `append`, `update`: what is in it stays. */
const FLAGS = {
  new: O_WRONLY | O_CREAT | O_EXCL,
  empty: O_WRONLY | O_CREAT,
  append: O_WRONLY | O_CREAT | O_APPEND,
  update: O_RDWR | O_CREAT,
};

/** An error as the system's: `ELOOP` for a link, `EPERM` for somebody else's file. */
function plantedError(errno: "ELOOP" | "EPERM", path: string): Error {
  const what = errno === "ELOOP" ? "a link is in the place of an own file" : "the file is somebody else's";
  return Object.assign(new Error(`${errno}: ${what}, open '${path}'`), {
    code: errno,
    syscall: "open",
    path,
  });
}

/** Opens a file of our own for writing, never by a link. Gives its descriptor. */
export function openOwnFile(path: string, mode: keyof typeof FLAGS): number {
  // O_NOFOLLOW closes the gap between the look and the opening; Windows hasn't got it.
  const isLink = () => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  if (mode !== "new" && isLink()) throw plantedError("ELOOP", path);
  const fd = openSync(path, FLAGS[mode] | O_NOFOLLOW | O_NONBLOCK);
  try {
    if (mode !== "new") assertOwn(fd, path);
    if (mode === "empty") ftruncateSync(fd);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** A second name would be a file elsewhere. Where a server gives files another owner, their folder has that one, too. */
function assertOwn(fd: number, path: string): void {
  const stat = fstatSync(fd);
  const owners = [process.getuid?.() ?? stat.uid, statSync(dirname(path)).uid];
  if (!stat.isFile() || stat.nlink > 1 || !owners.includes(stat.uid)) throw plantedError("EPERM", path);
}

/** Writes a text to a file of our own. A new one that can't be written whole isn't left behind. */
export function writeOwnFile(path: string, mode: keyof typeof FLAGS, text: string, isDurable = false): void {
  const fd = openOwnFile(path, mode);
  try {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at);
    if (isDurable) fsyncSync(fd);
  } catch (error) {
    if (mode === "new") quietly(() => rmSync(path, { force: true }));
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Puts a whole file in the place of whatever has that name: a reader sees the old text or the new one. */
export function replaceOwnFile(path: string, text: string, isDurable = false): void {
  const beside = `${path}.${process.pid}.new`;
  rmSync(beside, { force: true });
  writeOwnFile(beside, "new", text, isDurable);
  renameSync(beside, path);
}

/**
 * Makes a folder and the parents it lacks; gives the first that was made, or null. Where one can't be made, none stays.
 * Node's own `recursive` goes round for ever where a file system answers every mkdir with ENOENT, as /proc does.
 */
export function makeFolders(folder: string): string | null {
  const missing: string[] = [];
  for (let at = folder; statSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at)) {
    missing.unshift(at);
    if (dirname(at) === at) break;
  }
  const made: string[] = [];
  try {
    for (const path of missing) if (makeFolder(path)) made.push(path);
  } catch (error) {
    for (const path of made.reverse()) quietly(() => rmdirSync(path));
    throw error;
  }
  return made[0] ?? null;
}

/** False where another run was faster. */
function makeFolder(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST" && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
      return false;
    throw error;
  }
}
