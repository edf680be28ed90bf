/** The picture is well-formed XML, holds every value, and nothing leaves its frame. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderLayerPlot } from "../../src/cli/layer-plot.js";
import { changeOf } from "../support/changes.js";

const CHANGE = changeOf(
  { embed: 0.021, "layer 0": 0.028, "layer 1": 0.043, head: 0.018 },
  { embed_tokens: 0.021, q_proj: 0.032, input_layernorm: 0.001, lm_head: 0.018 },
);

interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly depth: number;
  /** The text right behind the start tag. */
  readonly text: string;
}

/** The elements of a document, or a failure where it isn't well-formed: enough of XML for what is written here. */
function elementsOf(xml: string): Element[] {
  const elements: Element[] = [];
  const open: string[] = [];
  const token = /<(\/?)([a-z]+)((?: [a-zA-Z][\w-]*="[^"<]*")*)(\/?)>([^<]*)/gy;
  let end = 0;
  for (let match = token.exec(xml); match !== null; match = token.exec(xml)) {
    const [whole, close, name = "", attributes = "", selfClosing, text = ""] = match;
    end += whole.length;
    assert.doesNotMatch(attributes + text, /&(?!(?:amp|lt|gt|quot);)/, "a bare &");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these XML can't hold.
    assert.doesNotMatch(whole, /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/);
    if (close === "/") assert.equal(open.pop(), name);
    else {
      const pairs = [...attributes.matchAll(/ ([a-zA-Z][\w-]*)="([^"]*)"/g)].map(
        ([, key = "", value = ""]) => [key, value],
      );
      assert.equal(new Set(pairs.map(([key]) => key)).size, pairs.length, "an attribute twice");
      elements.push({ name, attributes: Object.fromEntries(pairs), depth: open.length, text });
      if (selfClosing !== "/") open.push(name);
    }
  }
  assert.equal(end, xml.length, `not XML from ${JSON.stringify(xml.slice(end, end + 40))} on`);
  assert.deepEqual(open, []);
  assert.equal(elements.filter(({ depth }) => depth === 0).length, 1, "one root");
  return elements;
}

const named = (elements: readonly Element[], name: string) =>
  elements.filter((element) => element.name === name);

test("a title, axes, and a bar with a tooltip for each part and kind", () => {
  const svg = renderLayerPlot(CHANGE);
  const elements = elementsOf(svg);
  assert.equal(elements[0]?.attributes.xmlns, "http://www.w3.org/2000/svg");
  const titles = named(elements, "title").map(({ text }) => text);
  assert.deepEqual(titles, [
    "Size of the change: rms of delta over rms of base",
    ...["embed: 2.10%", "layer 0: 2.80%", "layer 1: 4.30%", "head: 1.80%"],
    ...["embed_tokens: 2.10%", "q_proj: 3.20%", "input_layernorm: 0.10%", "lm_head: 1.80%"],
  ]);
  const texts = named(elements, "text").map(({ text }) => text);
  for (const expected of [
    "0%",
    "1%",
    "5%",
    "layer",
    "embed",
    "head",
    "0",
    "1",
    "q_proj",
    "1.50% over all matrices",
  ]) {
    assert.ok(texts.includes(expected), expected);
  }
  assert.ok(!texts.includes("6%"));
});

test("bars are as high as what they stand for, and start on the axis", () => {
  const bars = named(elementsOf(renderLayerPlot(CHANGE)), "rect")
    .slice(0, 4)
    .map(({ attributes: { y, height } }) => ({ y: Number(y), height: Number(height) }));
  const bottoms = new Set(bars.map(({ y, height }) => Math.round(y + height)));
  assert.equal(bottoms.size, 1);
  const heights = bars.map(({ height }) => height);
  const perRatio = (heights[2] ?? 0) / 0.043;
  for (const [i, ratio] of [0.021, 0.028, 0.043, 0.018].entries()) {
    assert.ok(Math.abs((heights[i] ?? 0) - perRatio * ratio) < 0.02);
  }
});

const LAYERS = (count: number, ratio: (i: number) => number | null) =>
  changeOf({
    embed: 0.01,
    ...Object.fromEntries(Array.from({ length: count }, (_, i) => [`layer ${i}`, ratio(i)])),
    head: 0.01,
  });

const PICTURES = {
  "a model of 80 layers": LAYERS(80, (i) => (i + 1) / 1000),
  "no layer": changeOf({ embed: 0.3, head: 0.1 }),
  "no part": changeOf({}),
  "no change": changeOf({ embed: 0, "layer 0": 0 }, { q_proj: 0 }),
  "a base of zeros": changeOf({ embed: null, "layer 0": 0.1 }, { q_proj: null }),
  "tiny changes": LAYERS(4, () => 1.3e-7),
  "huge changes": LAYERS(4, () => 17),
  "another kind of model": changeOf(
    Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`transformer.h.${i}.attn`, 0.01])),
  ),
};

for (const [title, change] of Object.entries(PICTURES)) {
  test(`nothing leaves the frame: ${title}`, () => {
    const elements = elementsOf(renderLayerPlot(change));
    const [root] = elements;
    const [width, height] = [Number(root?.attributes.width), Number(root?.attributes.height)];
    const inside = (value: string | undefined, limit: number) => {
      const number = Number(value);
      assert.ok(number >= 0 && number <= limit, `${value} of ${limit}`);
    };
    for (const { name, attributes } of elements) {
      for (const key of ["x", "x1", "x2"]) if (key in attributes) inside(attributes[key], width);
      for (const key of ["y", "y1", "y2"]) if (key in attributes) inside(attributes[key], height);
      if (name !== "rect") continue;
      inside(`${Number(attributes.x) + Number(attributes.width)}`, width);
      inside(`${Number(attributes.y) + Number(attributes.height)}`, height);
    }
  });
}

test("numbers below the bars keep their distance", () => {
  const labels = (count: number) =>
    named(elementsOf(renderLayerPlot(LAYERS(count, () => 0.01))), "text")
      .map(({ text }) => text)
      .filter((text) => /^\d+$/.test(text));
  assert.deepEqual(labels(4), ["0", "1", "2", "3"]);
  assert.deepEqual(labels(32).slice(0, 3), ["0", "2", "4"]);
  assert.deepEqual(labels(80).slice(0, 3), ["0", "5", "10"]);
});

test("text of any kind is escaped", () => {
  const evil = `<script>alert("1")</script> & \u0000\u001b[31m \ud800 ]]>`;
  const svg = renderLayerPlot(changeOf({ [evil]: 0.1 }, { [evil]: 0.1 }));
  const elements = elementsOf(svg);
  assert.equal(named(elements, "script").length, 0);
  assert.ok(svg.includes("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp;"));
  assert.ok(svg.isWellFormed());
});
