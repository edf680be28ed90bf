/**
 * The package as users get it: packed, and installed globally into an empty prefix by the real npm. The registry is on
 * loopback and has the packages of node_modules; `npm run test:install` does the same with the real one.
 */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { projectPath } from "./fixture-path.js";
import {
  type Ended,
  environmentFor,
  installedDependencies,
  openRegistry,
  pack,
  type Registry,
  runNpm,
  runProgram,
  type Tarball,
} from "./npm.js";

type Variables = Record<string, string | undefined>;

export interface InstalledPackage {
  readonly root: string;
  readonly prefix: string;
  readonly tarball: Tarball;
  readonly registry: Registry;
  /** The programs that are found: those of the prefix, then the usual ones. */
  variables(more?: Variables): Variables;
  run(command: string, args: readonly string[], cwd: string, env?: Variables): Promise<Ended>;
  newFolder(name: string): string;
}

let installed: Promise<InstalledPackage> | undefined;

/** Installed once for all tests of this process, and removed when it ends. */
export function installPackage(): Promise<InstalledPackage> {
  installed ??= install();
  return installed;
}

async function install(): Promise<InstalledPackage> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "vicuna-test-")));
  process.once("exit", () => rmSync(root, { recursive: true, force: true }));
  const prefix = join(root, "prefix");
  const folders = installedDependencies();
  const dependencies = await pack(folders, join(root, "packages"), root);
  const registry = await openRegistry(dependencies, folders);
  const [tarball] = (await pack(["."], join(root, "packed"), root)) as [Tarball];
  await runNpm(["install", "--global", "--prefix", prefix, tarball.path], environmentFor(root, registry.url));
  const variables = (more: Variables = {}): Variables => ({
    ...environmentFor(root, registry.url),
    PATH: pathWith(join(prefix, "bin")),
    HF_HUB_OFFLINE: "1",
    ...more,
  });
  return {
    root,
    prefix,
    tarball,
    registry,
    variables,
    run: (command, args, cwd, env = variables()) => runProgram(command, args, { cwd, env }),
    newFolder(name) {
      const folder = join(root, name);
      mkdirSync(folder);
      return folder;
    },
  };
}

/** A PATH with this folder and this Node before everything else. */
export function pathWith(folder: string): string {
  return [folder, dirname(process.execPath), process.env.PATH ?? ""].join(delimiter);
}

/** Why these tests are skipped here, or false. */
export const skipInstalls = process.platform === "win32" ? "bash and POSIX paths" : false;

/** What transformers writes for the example. */
export const EXPECTED = JSON.parse(readFileSync(projectPath("examples/tiny/expected.json"), "utf8")) as {
  readonly max_shard_size: string;
  readonly sha256: Record<string, string>;
};
