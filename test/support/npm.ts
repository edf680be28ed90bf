/**
 * npm as a child process, cut off from this machine: no configuration, cache or registry but what the test gives. And a
 * registry on loopback for it, with the packages that this one depends on, packed from node_modules.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { projectPath } from "./fixture-path.js";

/** What `npm pack --json` says of one tarball. */
export interface Tarball {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
  /** Bytes of the tarball. */
  readonly size: number;
  readonly path: string;
  readonly files: readonly { readonly path: string; readonly size: number }[];
}

/** `process.env` without what npm and the test runner leave in it, and with a home of its own. */
export function environmentFor(home: string, registry: string): Record<string, string | undefined> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_|NODE_|FORCE_COLOR$)/i.test(name),
  );
  return {
    ...Object.fromEntries(inherited),
    HOME: home,
    npm_config_cache: join(home, "npm-cache"),
    npm_config_userconfig: join(home, "npmrc"),
    npm_config_globalconfig: join(home, "npmrc-global"),
    npm_config_registry: registry,
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_update_notifier: "false",
  };
}

/** Port 9 is "discard": nothing listens there, so that a request would fail. */
export const NO_REGISTRY = "http://127.0.0.1:9/";

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs any program to its end, whatever that is. */
export function runProgram(
  command: string,
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Record<string, string | undefined> },
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Resolves with stdout. Rejects with stderr where npm fails. */
export async function runNpm(
  args: readonly string[],
  env: Record<string, string | undefined>,
): Promise<string> {
  // The npm that runs this test, where one does; otherwise the one on the path.
  const script = process.env.npm_execpath;
  const [command, words] =
    script?.endsWith(".js") === true ? [process.execPath, [script, ...args]] : ["npm", [...args]];
  const { code, stdout, stderr } = await runProgram(command, words, { cwd: projectPath("."), env });
  if (code !== 0) throw new Error(`npm ${args.join(" ")}: exit ${code}\n${stderr}`);
  return stdout;
}

/** Packs folders as they are: nothing is built, so that other tests keep what they run. */
export async function pack(
  folders: readonly string[],
  destination: string,
  home: string,
): Promise<Tarball[]> {
  mkdirSync(destination, { recursive: true });
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", destination, ...folders];
  const output = await runNpm(args, environmentFor(home, NO_REGISTRY));
  const packed = Object.values(JSON.parse(output) as Record<string, Tarball & { filename: string }>);
  // Older npm spells a scoped package's file name with its slash.
  const fileName = (name: string) => name.replace(/^@/, "").replaceAll("/", "-");
  return packed.map(({ filename, ...tarball }) => ({
    ...tarball,
    path: join(destination, fileName(filename)),
  }));
}

/** The folders of all that is installed with this package: what the lock file doesn't call `dev`. */
export function installedDependencies(): string[] {
  const lock = JSON.parse(readFileSync(projectPath("package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>;
  };
  return Object.entries(lock.packages)
    .filter(([path, { dev, devOptional, optional }]) => path !== "" && !dev && !devOptional && !optional)
    .map(([path]) => `./${path}`);
}

export interface Registry {
  readonly url: string;
  /** Names that were asked for and aren't here. */
  readonly missing: readonly string[];
}

/** Serves the tarballs as a registry does, as long as the process lives: a document a package, with its versions. */
export async function openRegistry(
  tarballs: readonly Tarball[],
  folders: readonly string[],
): Promise<Registry> {
  const manifests = folders.map(
    (folder) => JSON.parse(readFileSync(projectPath(`${folder}/package.json`), "utf8")) as Tarball,
  );
  const missing: string[] = [];
  let url = "";
  const documentOf = (name: string) => {
    const versions = tarballs
      .filter((tarball) => tarball.name === name)
      .map(({ version, integrity }) => {
        const manifest = manifests.find((of) => of.name === name && of.version === version);
        return {
          ...manifest,
          dist: { integrity, tarball: `${url}-/${encodeURIComponent(name)}/${version}.tgz` },
        };
      });
    const [first] = versions;
    if (first === undefined) return null;
    return {
      name,
      "dist-tags": { latest: first.version },
      versions: Object.fromEntries(versions.map((version) => [version.version, version])),
    };
  };
  const server = createServer((request, response) => {
    const path = (request.url ?? "/").slice(1);
    const [, file = "", version = ""] = /^-\/([^/]+)\/(.+)\.tgz$/.exec(path) ?? [];
    const tarball = tarballs.find((of) => of.name === decodeURIComponent(file) && of.version === version);
    if (tarball !== undefined) {
      response.end(readFileSync(tarball.path));
      return;
    }
    const document = documentOf(decodeURIComponent(path));
    if (document === null) missing.push(path);
    response.writeHead(document === null ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(document ?? { error: "not found" }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { url, missing };
}
