/** Whether the files of a target are those that its own records name. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { onSource, sourceExists } from "../files/local-file.js";
import { isWeights } from "../formats/find-weights.js";
import type { Checkpoint, RemoteWeights } from "../formats/open.js";
import { PROVENANCE, type Provenance, recordWeights } from "../target/provenance.js";
import { CHECKSUMS, checksumFiles, readChecksums } from "../target/sha256sums.js";
import { plural } from "../units.js";
import type { Sha256Options } from "../workers/sha256.js";
import type { Check } from "./documents.js";
import { judged, skipped } from "./outcome.js";

/** Where a target's files are: in a folder, but for weights that stay on the Hub. */
export interface TargetPlace {
  readonly folder: string;
  readonly remote?: RemoteWeights | null;
}

function isThere({ folder, remote }: TargetPlace, name: string): boolean {
  return remote?.absent.includes(name) === true || sourceExists(join(folder, name));
}

/** Everything but the weights' data: the small files whole, of the weights size and header. */
export async function checkRecord(
  place: TargetPlace,
  provenance: Provenance | null,
  target: Checkpoint | null,
): Promise<Check> {
  if (provenance === null)
    return skipped("record", `there is no ${PROVENANCE}: the target isn't this tool's`);
  const { weights, files, checksums } = provenance.target;
  const sha256Of = new Map(files.map(({ name, sha256 }) => [name, sha256]));
  const named = [...weights.map(({ name }) => name), ...(checksums ? [CHECKSUMS] : [])];
  const faults = [
    ...named.filter((name) => !isThere(place, name)).map((name) => `${name} is missing`),
    ...(await compareDigests(place, sha256Of, {})),
    ...(target === null ? [] : await compareWeights(weights, target)),
  ];
  const seen = target === null ? "" : `; size and header of ${plural(weights.length, "weights file")}`;
  return judged("record", faults, `${plural(files.length, "small file")} as recorded${seen}`);
}

async function compareWeights(
  wanted: Provenance["target"]["weights"],
  target: Checkpoint,
): Promise<string[]> {
  const got = new Map((await recordWeights(target)).map((record) => [record.name, record]));
  const faults = wanted.flatMap(({ name, bytes, headerSha256 }) => {
    const file = got.get(name);
    if (file === undefined) return [];
    if (file.bytes !== bytes) return [`${name} has ${file.bytes} bytes, not ${bytes}`];
    return file.headerSha256 === headerSha256 ? [] : [`the header of ${name} was changed`];
  });
  const named = new Set(wanted.map(({ name }) => name));
  const strange = [...got.keys()].filter((name) => !named.has(name));
  return [...faults, ...strange.map((name) => `${name} isn't one of the recorded files`)];
}

/** Every byte of every file that `fileName` names. */
export async function checkChecksums(
  place: TargetPlace,
  options: Sha256Options,
  fileName = CHECKSUMS,
): Promise<Check> {
  const { folder, remote } = place;
  const wanted = readChecksums(folder, fileName);
  if (wanted === null) return skipped("checksums", `there is no ${fileName}`);
  const faults = await compareDigests(place, wanted, options);
  const names = [...onSource(folder, () => readdirSync(folder)), ...(remote?.absent ?? [])];
  const weights = names.filter((name) => isWeights(name, [".safetensors", ".bin", ".gguf"]));
  const unnamed = fileName === CHECKSUMS ? weights.filter((name) => !wanted.has(name)) : [];
  faults.push(...unnamed.map((name) => `${name} isn't in ${fileName}`));
  return judged("checksums", faults, `${plural(wanted.size, "file")}, every byte`);
}

/** The files that are missing or whose SHA-256 is another. */
async function compareDigests(
  place: TargetPlace,
  wanted: ReadonlyMap<string, string>,
  options: Sha256Options,
): Promise<string[]> {
  const present = [...wanted.keys()].filter((name) => isThere(place, name));
  const got = await checksumFiles(place.folder, present, options, place.remote);
  return [...wanted].flatMap(([name, sha256]) => {
    if (!got.has(name)) return [`${name} is missing`];
    return got.get(name) === sha256 ? [] : [`${name} was changed`];
  });
}
