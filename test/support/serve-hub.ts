/**
 * The Hub of hub-server.ts as a process, for the comparisons with Python: `node serve-hub.js <log> owner/name=folder …`
 * serves the folders, prints its address, writes a line for each request into the log, and ends with its input.
 */
import { appendFileSync, writeFileSync } from "node:fs";
import { filesIn } from "./hub-run.js";
import { startHub } from "./hub-server.js";

const [log = "", ...models] = process.argv.slice(2);
const repositories = models.map((model) => {
  const [name = "", folder = ""] = model.split("=");
  return [name, { files: filesIn(folder) }] as const;
});
const hub = await startHub(Object.fromEntries(repositories));
writeFileSync(log, "");
hub.fault = ({ method, at, url }) => {
  appendFileSync(log, `${method} ${at} ${url}\n`);
  return undefined;
};
process.stdout.write(`${hub.url}\n`);
process.stdin.resume().once("end", () => void hub.close());
