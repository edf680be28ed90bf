/** Builds a clone when npm installs or packs it. Without development dependencies there is nothing to build with. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

if (existsSync(new URL("../node_modules/typescript", import.meta.url))) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const { status } = spawnSync("npm run --silent build", { cwd: root, shell: true, stdio: "inherit" });
  process.exitCode = status ?? 1;
}
