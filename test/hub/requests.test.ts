/** Where the token goes and where it doesn't, redirects, and proxies: with a stand-in for the network, then with one. */
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { explainReadError } from "../../src/hub/explain-error.js";
import { proxyFor } from "../../src/hub/proxy.js";
import { createApiFetch, createAsk } from "../../src/hub/requests.js";
import { completeHubSettings } from "../../src/hub/settings.js";
import { hubRun, randomRepository } from "../support/hub-run.js";
import { refusal } from "../support/refusal.js";

const HUB = "https://hub.test";

interface Sent {
  readonly url: string;
  readonly authorization: string | null;
}

/** A network that answers from a table; anything else is a 200. */
function network(answers: Record<string, { status: number; location?: string; body?: string }>) {
  const sent: Sent[] = [];
  const { ask } = createAsk(
    async (url, { headers }) => {
      sent.push({ url: url.href, authorization: headers.get("authorization") });
      const { status = 200, location, body = "ok" } = answers[url.href] ?? {};
      const heads = new Headers(location === undefined ? {} : { location });
      return { status, headers: heads, body: Readable.from([Buffer.from(body)]), end: async () => {} };
    },
    HUB,
    "hf_secret",
  );
  return { sent, get: ask };
}

const OURS = "Bearer hf_secret";

describe("the token", () => {
  for (const [url, expected] of [
    [`${HUB}/api/models/a/b`, OURS],
    ["https://hub.test:8443/x", null],
    ["http://hub.test/x", null],
    ["https://evil.hub.test/x", null],
    ["https://hub.test.evil/x", null],
  ] as const) {
    test(`${expected === null ? "isn't" : "is"} sent to ${url}`, async () => {
      const { sent, get } = network({});
      await get(url);
      assert.deepEqual(sent, [{ url, authorization: expected }]);
    });
  }

  test("follows a redirect on the Hub and no other", async () => {
    const { sent, get } = network({
      [`${HUB}/a`]: { status: 307, location: "/b" },
      [`${HUB}/b`]: { status: 302, location: "https://content.test/c" },
    });
    const answer = await get(`${HUB}/a`);
    assert.equal(answer.status, 200);
    assert.deepEqual(
      sent.map(({ authorization }) => authorization),
      [OURS, OURS, null],
    );
  });

  test("gives way to credentials that a caller has for the place, which follow no redirect either", async () => {
    const { sent, get } = network({
      "https://cas.test/a": { status: 302, location: "https://other.test/b" },
    });
    await get("https://cas.test/a", { headers: { authorization: "Bearer cas" } });
    assert.deepEqual(
      sent.map(({ authorization }) => authorization),
      ["Bearer cas", null],
    );
  });
});

for (const [name, location, says] of [
  ["from HTTPS to HTTP", "http://hub.test/b", /from https:\/\/hub\.test to http:\/\/hub\.test/],
  ["to a file", "file:///etc/passwd", /to file:/],
  ["in a circle", `${HUB}/a`, /more than 8 redirects/],
] as const) {
  test(`a redirect ${name} isn't followed`, async () => {
    const { get } = network({ [`${HUB}/a`]: { status: 302, location } });
    await assert.rejects(get(`${HUB}/a`), says);
  });
}

test("what isn't the network's fault isn't called so, and a certificate is named", async () => {
  const wanted = { repository: "a/b", revision: "main", reference: "a/b" };
  const context = {
    settings: completeHubSettings({ endpoint: HUB }),
    hasToken: false,
    retrier: { hasAnswered: () => false },
  };
  const described = (code: string) => {
    const error = Object.assign(new TypeError("fetch failed"), {
      cause: Object.assign(new Error(), { code }),
    });
    return () => Promise.reject(explainReadError(error, wanted, context));
  };
  await refusal(described("ERR_TLS_CERT_ALTNAME_INVALID"), "no-network", { hint: /NODE_EXTRA_CA_CERTS/ });
  await refusal(described("DEPTH_ZERO_SELF_SIGNED_CERT"), "no-network", { message: /certificate/ });
  await refusal(described("ENOTFOUND"), "no-network", { message: /can't be reached/ });
  await refusal(described("ECONNRESET"), "no-network", { message: /keeps breaking/ });
  await refusal(described("ERR_SSL_WRONG_VERSION_NUMBER"), "hub-failure", { hint: /a Hugging Face Hub/ });
});

test("an answer that would fill the memory is refused", async () => {
  const { get } = network({ [`${HUB}/a`]: { status: 200, body: "x".repeat(9_000_000) } });
  await assert.rejects(createApiFetch(get, 1000, null)(`${HUB}/a`), /more than 8000000 bytes/);
});

describe("proxies", () => {
  const settings = {
    http: "http://p:1",
    https: "p:2",
    except: "localhost, .intern.test,other.test:8443 10.0.0.1 172.16.0.0/12 ::1 [fe80::1]:81 1.2.3.4/99",
  };
  for (const [url, expected] of [
    ["https://hub.test/", "http://p:2"],
    ["http://hub.test/", "http://p:1"],
    ["https://localhost/", null],
    ["https://a.intern.test/", null],
    ["https://intern.test/", null],
    ["https://nointern.test/", "http://p:2"],
    ["https://other.test/", "http://p:2"],
    ["https://x.other.test:8443/", null],
    ["http://10.0.0.1/", null],
    ["http://10.0.0.10/", "http://p:1"],
    ["http://172.31.0.1/", null],
    ["http://172.32.0.1/", "http://p:1"],
    ["http://172.31.0.1.test/", "http://p:1"],
    ["http://[::1]:8080/", null],
    ["http://[::2]/", "http://p:1"],
    ["http://172.15.0.1/", "http://p:1"],
    ["http://[fe80::1]:81/", null],
    ["http://[fe80::1]/", "http://p:1"],
    ["http://1.2.3.4/", "http://p:1"],
  ] as const) {
    test(`${url}: ${expected ?? "none"}`, () => assert.equal(proxyFor(new URL(url), settings), expected));
  }

  test("none, all excepted, and one of a kind that isn't spoken", async () => {
    const url = new URL(HUB);
    assert.equal(proxyFor(url, { http: null, https: null, except: "" }), null);
    assert.equal(proxyFor(url, { ...settings, except: "*" }), null);
    const socks = { ...settings, https: "socks5://me:secret@p:1" };
    const error = await refusal(() => proxyFor(url, socks), "bad-usage", { got: "socks5://…" });
    assert.doesNotMatch(error.format(), /secret/);
  });

  for (const [status, hint] of [
    [407, /HTTPS_PROXY=http:\/\/user:password@/],
    [403, /NO_PROXY/],
  ] as const) {
    test(`one that answers with ${status} is said to be the cause`, async (context) => {
      const run = await hubRun(context, randomRepository(10_000));
      const endpoint = HUB;
      const proxy = createServer().listen(0, "127.0.0.1");
      let tunnels = 0;
      proxy.on("connect", (_, client) => {
        tunnels++;
        client.end(`HTTP/1.1 ${status} No\r\n\r\n`);
      });
      await new Promise((resolve) => proxy.once("listening", resolve));
      context.after(() => proxy.close());
      const { port } = proxy.address() as AddressInfo;
      const through = { endpoint, proxy: { https: `http://me:secret@127.0.0.1:${port}` } };
      const got = `status ${status} of the proxy`;
      const error = await refusal(() => run.fetch(through), "no-network", { got, hint });
      assert.doesNotMatch(error.format(), /secret/);
      assert.equal(tunnels, 1);
    });
  }

  test("a download over plain HTTP is asked of the proxy, with its password and without a tunnel", async (context) => {
    const run = await hubRun(context, randomRepository(200_000));
    const seen: (string | undefined)[] = [];
    const proxy = createServer((incoming, outgoing) => {
      seen.push(incoming.headers["proxy-authorization"]);
      const { method, url = "", headers } = incoming;
      const upstream = request(url, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(outgoing);
      });
      upstream.end();
    }).listen(0, "127.0.0.1");
    proxy.on("connect", (_, client) => client.end("HTTP/1.1 405 Method Not Allowed\r\n\r\n"));
    await new Promise((resolve) => proxy.once("listening", resolve));
    context.after(() => proxy.close());
    const { port } = proxy.address() as AddressInfo;
    await run.fetch({ proxy: { http: `http://me:secret@127.0.0.1:${port}` } });
    assert.ok(seen.length > 0);
    for (const credentials of seen) assert.equal(credentials, `Basic ${btoa("me:secret")}`);
  });
});
