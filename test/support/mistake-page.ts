/**
 * A page of docs/ that shows mistakes stays true: each of its sections is a situation built here, in a folder with real
 * names, and the block in the section is what the program prints there, character for character, with its exit code.
 * With UPDATE_DOCS=1 the blocks are rewritten; the words around them are by hand.
 */
import assert from "node:assert/strict";
import { readFileSync, realpathSync, statfsSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { projectPath } from "./fixture-path.js";
import { listing, temporaryFolder } from "./model-folder.js";
import { runCli } from "./run-cli.js";

export interface Mistake {
  /** The heading on the page. */
  readonly heading: string;
  /** What the user types behind the program's name. */
  readonly command: string;
  /** What the shell makes of it, where it isn't the words of the command. */
  readonly words?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly exit: number;
  /** Makes the situation in an empty folder. */
  readonly make: (root: string) => void;
  /** Room that a dry run of a true size asks for; without it, the case can't be shown. */
  readonly needsBytes?: number;
  /** Whether it really merges. */
  readonly writes?: true;
}

/** The only block of a section; what comes before it and behind it is by hand. */
const BLOCK = /```console\n[\s\S]*?\n```/;

interface Section {
  readonly heading: string;
  readonly text: string;
}

/** What stands under each `##`; the first part, under `#`, has the overview. */
function sectionsOf(page: string): { overview: string; sections: Section[] } {
  const [overview = "", ...parts] = page.split(/^## /m);
  return { overview, sections: parts.map((text) => ({ heading: text.slice(0, text.indexOf("\n")), text })) };
}

/** As GitHub makes the anchor of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

/** What differs from run to run and from machine to machine, taken out. */
function normalised(output: string, root: string): string {
  return (
    output
      .replaceAll(root, "/models")
      .replace(/took {6}.*/, "took      … s (… GB/s read and written), … MB of memory, … kernel, … threads")
      .replace(/\([\d.]+ \w?B free\)/, "(… GB free)")
      // The files behind this page are small (life-size-model.ts); true ones aren't.
      .replace(/[\d.]+ kB in (\d) files/, "… GB in $1 files")
      .replace(/(\.bin {2})[\d.]+ kB/g, "$1… GB")
  );
}

/** The words of a command line; single quotes hold words together. */
function wordsOf(command: string): string[] {
  return command.split(" ").map((word) => word.replaceAll("'", ""));
}

/** The section's block as it must be; and nothing was made or changed, but by the one case that merges. */
async function blockOf({ command, words, env, exit, make, writes }: Mistake, root: string): Promise<string> {
  make(root);
  const before = listing(root);
  const { code, stdout, stderr } = await runCli(words ?? wordsOf(command), {
    cwd: root,
    ...(env === undefined ? {} : { env }),
  });
  assert.equal(code, exit, stderr);
  if (writes !== true) assert.deepEqual(listing(root), before);
  const output = normalised(`${stderr}${stdout}`, root);
  return `\`\`\`console\n${`$ vicuna-apply-delta ${command}`.trimEnd()}\n${output}$ echo $?\n${code}\n\`\`\``;
}

/** Tests that the page of that name has a section for each mistake, and that its blocks are what is printed. */
export function holdPage(name: string, mistakes: readonly Mistake[]): void {
  const path = projectPath(name);
  const page = readFileSync(path, "utf8");
  const { overview, sections } = sectionsOf(page);
  const updates = new Map<string, string>();

  test("has one section for each case, in the same order, and a line for each in the overview", () => {
    const headings = mistakes.map(({ heading }) => heading);
    assert.deepEqual(
      sections.map(({ heading }) => heading),
      headings,
    );
    const links = [...overview.matchAll(/\]\(#([^)]*)\)/g)].map((match) => match[1]);
    assert.deepEqual(links, headings.map(anchorOf));
    for (const { heading, text } of sections) {
      assert.equal(text.split("```").length, 3, `${heading}: one block`);
      assert.match(text, BLOCK, heading);
    }
  });

  for (const mistake of mistakes) {
    test(mistake.heading, async (context) => {
      const root = realpathSync(temporaryFolder(context));
      const { bavail, bsize } = statfsSync(root);
      if (bavail * bsize < (mistake.needsBytes ?? 0)) return context.skip("too little room for the dry run");
      const block = await blockOf(mistake, root);
      updates.set(mistake.heading, block);
      if (process.env.UPDATE_DOCS !== undefined) return;
      const shown = sections.find(({ heading }) => heading === mistake.heading)?.text.match(BLOCK)?.[0];
      assert.equal(shown, block, "run with UPDATE_DOCS=1 to rewrite the page's blocks");
    });
  }

  after(() => {
    if (process.env.UPDATE_DOCS === undefined) return;
    const parts = sections.map(({ heading, text }) => {
      const block = updates.get(heading);
      return `## ${block === undefined ? text : text.replace(BLOCK, () => block)}`;
    });
    writeFileSync(path, overview + parts.join(""));
  });
}
