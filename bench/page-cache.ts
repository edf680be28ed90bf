/** What a measured program finds in the page cache and in memory, without the rights of root. */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const WARM_CHUNK_BYTES = 2 ** 28;

/** The files in folders that are there. */
export function filesIn(folders: readonly string[]): string[] {
  return folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
}

/** Lets the disk come to rest. */
export function settle(): void {
  execFileSync("sync");
}

/** Takes files that are on the disk out of the page cache: dd asks the system to (posix_fadvise). */
export function forget(files: readonly string[]): void {
  for (const file of files) {
    const { status, stderr } = spawnSync("dd", [`if=${file}`, "iflag=nocache", "count=0"], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`dd can't take ${file} out of the page cache: ${stderr}`);
  }
}

/**
 * Brings files into the page cache, and makes free memory ready for `byteLength` bytes more. A virtual machine gives
 * free pages back to its host after seconds, and to get them again costs more than to copy them; it may lose pages that
 * weren't read for a minute, too. Memory that was just used is what a program finds on a machine of one's own.
 */
export function bring(files: readonly string[], byteLength: number): void {
  execFileSync("cat", files, { stdio: ["ignore", "ignore", "inherit"] });
  const chunks = Math.ceil((byteLength * 1.2) / WARM_CHUNK_BYTES);
  const script = `const kept = []; for (let i = 0; i < ${chunks}; i++) kept.push(Buffer.alloc(${WARM_CHUNK_BYTES}, 1));`;
  execFileSync(process.execPath, ["-e", script]);
}
