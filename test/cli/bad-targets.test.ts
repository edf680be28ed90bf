/** What a target gets that can't be made, or is somebody's. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BadInput, folderOf, testBadInput, WEIGHTS } from "../support/bad-input.js";

const TARGETS: BadInput[] = [
  {
    name: "a folder that isn't empty",
    exit: 6,
    code: "target-exists",
    make: (place) => ({ target: folderOf(place, { "precious.txt": "mine" }) }),
    says: ["other", "--overwrite"],
  },
  {
    name: "a file",
    exit: 6,
    code: "target-exists",
    make: (place) => ({ target: join(folderOf(place, { file: "mine" }), "file"), more: ["--overwrite"] }),
    says: [join("other", "file"), "A file is in the place"],
  },
  ...["vicuna.safetensors", "vicuna.bin"].map(
    (name): BadInput => ({
      name: `the name of a weights file: ${name}`,
      exit: 2,
      code: "bad-usage",
      make: ({ root }) => ({ target: join(root, name) }),
      says: [name, "Name a folder, such as vicuna"],
    }),
  ),
  {
    name: "below a file",
    exit: 6,
    code: "target-unwritable",
    make: (place) => ({ target: join(folderOf(place, { file: "mine" }), "file", "target") }),
    says: ["file", "part of the path is a file"],
  },
  {
    name: "a link that leads nowhere",
    exit: 6,
    code: "target-exists",
    make: ({ root }) => {
      symlinkSync(join(root, "nowhere"), join(root, "link"));
      return { target: join(root, "link") };
    },
    says: ["link", "leads nowhere"],
  },
  ...(["base", "delta"] as const).flatMap((side): BadInput[] => [
    {
      name: `the ${side} itself`,
      exit: 6,
      code: "target-overlaps-source",
      make: (place) => ({ target: place[side], more: ["--overwrite"] }),
      says: [side, "neither inside nor around"],
    },
    {
      name: `inside the ${side}`,
      exit: 6,
      code: "target-overlaps-source",
      make: (place) => ({ target: join(place[side], "merged"), more: ["--overwrite"] }),
      says: [join(side, "merged"), "neither inside nor around"],
    },
    {
      name: `the ${side} by way of a link`,
      exit: 6,
      code: "target-overlaps-source",
      make: (place) => {
        symlinkSync(place[side], join(place.root, "link"));
        return { target: join(place.root, "link"), more: ["--overwrite"] };
      },
      says: [side, "neither inside nor around"],
    },
    {
      name: `a weights file's folder, the ${side} given as a file`,
      exit: 6,
      code: "target-overlaps-source",
      make: (place) => ({
        [side]: join(place[side], WEIGHTS),
        target: place[side],
        more: ["--overwrite"],
      }),
      says: [side, "neither inside nor around"],
    },
  ]),
  {
    name: "around base and delta",
    exit: 6,
    code: "target-overlaps-source",
    make: ({ root }) => ({ target: root, more: ["--overwrite"] }),
    says: ["neither inside nor around"],
  },
  {
    name: "one whose working folder is somebody's",
    exit: 6,
    code: "target-exists",
    make: ({ root }) => {
      mkdirSync(join(root, "target.incomplete"));
      writeFileSync(join(root, "target.incomplete", "precious.txt"), "mine");
      return undefined;
    },
    says: ["target.incomplete", "isn't this tool's"],
  },
];

testBadInput("a target that is", TARGETS);
