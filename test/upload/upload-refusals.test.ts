/** What each kind of refused upload is called; that it is found before anything is sent, and that no token is printed. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { ErrorCode } from "../../src/errors.js";
import { checkUpload, uploadModel } from "../../src/upload/upload-model.js";
import type { Fault, HubServer, RepositorySample } from "../support/hub-server.js";
import { type ExpectedDetails, refusal } from "../support/refusal.js";
import { DESTINATION, type UploadRunOptions, uploadRun } from "../support/upload-run.js";

/** What no message must hold, whatever went wrong. */
const SECRET = "hf_secret_of_the_user";

interface Refused {
  readonly name: string;
  readonly repository?: RepositorySample;
  readonly prepare?: (hub: HubServer) => void | Promise<void>;
  readonly fault?: Fault;
  readonly options?: UploadRunOptions;
  readonly code: ErrorCode;
  readonly details: ExpectedDetails;
}

const EMPTY: RepositorySample = { files: { ".gitattributes": Buffer.from("x") } };

/** All of these are known before the model is made. */
const EARLY: readonly Refused[] = [
  {
    name: "no token",
    options: { hub: { token: null } },
    code: "no-upload-token",
    details: { hint: /settings\/tokens and set HF_TOKEN/ },
  },
  {
    name: "a token that isn't valid",
    options: { hub: { token: SECRET } },
    code: "upload-token-refused",
    details: { got: "status 401: Invalid credentials in Authorization header", hint: /write access/ },
  },
  {
    name: "a token that is none",
    options: { hub: { token: `${SECRET}\n2` } },
    code: "bad-token",
    details: { message: /invalid characters/ },
  },
  {
    name: "a token that may only read",
    prepare: ({ uploads }) => {
      uploads.account.role = "read";
    },
    code: "upload-denied",
    details: { message: /no write access/, got: "a read-only token of owner" },
  },
  {
    name: "a fine-grained token that may only read",
    prepare: ({ uploads }) => {
      uploads.account = { name: "owner", role: "fineGrained", permissions: ["repo.content.read"] };
    },
    code: "upload-denied",
    details: { message: /no write access/ },
  },
  {
    name: "somebody else's name",
    options: { repository: "lmsys/tuned" },
    code: "upload-denied",
    details: { expected: /owner, club$/, got: "lmsys" },
  },
  {
    name: "a repository nobody may write to",
    repository: EMPTY,
    prepare: ({ uploads }) => void uploads.readOnly.add(DESTINATION),
    code: "upload-denied",
    details: { got: "status 403: You don't have the rights to write here", file: DESTINATION },
  },
  {
    name: "a public repository, and --private",
    repository: EMPTY,
    options: { private: true },
    code: "repository-public",
    details: { file: DESTINATION, hint: /settings on the Hub/ },
  },
  {
    name: "another model in the repository",
    repository: { files: { "config.json": Buffer.from("{}"), "model.safetensors": Buffer.from("x") } },
    code: "repository-occupied",
    details: { got: "config.json, model.safetensors", hint: /Choose another repository/ },
  },
  ...["tuned", "owner/tuned/x", "owner/tuned@v2", "owner/..", "own er/tuned", "", "/", "-a/b"].map(
    (repository): Refused => ({
      name: `a repository called ${JSON.stringify(repository)}`,
      options: { repository },
      code: "bad-usage",
      details: { got: repository, expected: /^owner\/name/ },
    }),
  ),
  {
    name: "offline",
    options: { hub: { offline: true } },
    code: "bad-usage",
    details: { message: /offline/, hint: /Leave one/ },
  },
  {
    name: "a Hub that isn't there",
    prepare: (hub) => hub.close(),
    code: "upload-unreachable",
    details: { got: "ECONNREFUSED", hint: /HTTPS_PROXY/ },
  },
  {
    name: "too many requests",
    fault: { kind: "status", status: 429, headers: { "retry-after": "0.001" } },
    code: "upload-rate-limited",
    details: { got: "status 429", hint: /Wait/ },
  },
  {
    name: "errors of the server",
    fault: { kind: "status", status: 503 },
    code: "upload-failed",
    details: { got: "status 503" },
  },
  {
    name: "a page of HTML for everything",
    fault: { kind: "redirect", to: "data:text/html,<p>log in" },
    code: "upload-failed",
    details: { got: /a redirect from http:/, hint: /login page/ },
  },
];

describe("refused before the model is made, and then again:", { concurrency: 3 }, () => {
  for (const { name, repository, prepare, fault, options, code, details } of EARLY) {
    test(name, async (context) => {
      const run = await uploadRun(context, repository === undefined ? {} : { [DESTINATION]: repository });
      await prepare?.(run.hub);
      if (fault !== undefined) run.hub.fault = () => fault;
      for (const attempt of [
        checkUpload,
        (given: Parameters<typeof checkUpload>[0]) => uploadModel(run.folder, given),
      ]) {
        const error = await refusal(() => attempt(run.options(options)), code, details);
        assert.doesNotMatch(error.format() + JSON.stringify(error.details), new RegExp(SECRET));
      }
      assert.equal(run.puts().length, 0);
      assert.ok(run.hub.requests.every(({ url }) => !/\/(?:create|batch|commit)/.test(url)));
    });
  }
});

describe("refused while it is sent", { concurrency: 3 }, () => {
  test("an address of the storage that has run out", async (context) => {
    const { hub, upload, there } = await uploadRun(context);
    hub.fault = ({ method }) => (method === "PUT" ? { kind: "status", status: 403 } : undefined);
    const error = await refusal(() => upload(), "upload-failed", {
      got: /^status 403 from 127/,
      hint: /expired/,
    });
    assert.doesNotMatch(error.format(), /signature/);
    assert.deepEqual(there(), {});
  });

  test("an address that isn't the web's", async (context) => {
    const { hub, upload } = await uploadRun(context);
    hub.contentUrl = "gopher://storage.test";
    await refusal(() => upload(), "upload-failed", { got: "storage at gopher://storage.test" });
  });

  test("a commit that is refused", async (context) => {
    const { hub, upload } = await uploadRun(context);
    const headers = { "x-error-message": "Forbidden" };
    hub.fault = ({ url }) => (/\/commit\//.test(url) ? { kind: "status", status: 403, headers } : undefined);
    await refusal(() => upload(), "upload-denied", { got: "status 403: Forbidden" });
  });

  test("a repository that somebody makes at the same moment is as good", async (context) => {
    const { hub, upload } = await uploadRun(context);
    hub.fault = ({ url }) => (/\/repos\/create/.test(url) ? { kind: "status", status: 409 } : undefined);
    // Nobody really made it.
    await refusal(() => upload(), "upload-denied", { got: /status 404/ });
  });

  test("an organisation the account is in, and a Hub that tells of none", async (context) => {
    const { hub, upload } = await uploadRun(context);
    await upload({ repository: "club/tuned" });
    hub.uploads.account = { name: "somebody", role: "write" };
    await upload({ repository: "elsewhere/tuned" });
    assert.deepEqual(Object.keys(hub.repositories), ["club/tuned", "elsewhere/tuned"]);
  });
});

describe("a folder that holds no whole model isn't sent", { concurrency: 3 }, () => {
  test("a file, an unfinished folder, a shard that is cut off, none at all", async (context) => {
    const { folder, upload, options, hub } = await uploadRun(context);
    const index = join(folder, "model.safetensors.index.json");
    await refusal(() => uploadModel(index, options()), "bad-usage", { file: index });
    await refusal(() => uploadModel(join(folder, "none"), options()), "source-not-found");
    writeFileSync(join(folder, ".vicuna-apply-delta"), "");
    await refusal(() => upload(), "bad-usage", { message: /isn't finished/ });
    const shard = join(folder, "model-00001-of-00002.safetensors");
    writeFileSync(shard, "short");
    await refusal(() => uploadModel(shard, options()), "bad-usage");
    const { folder: other, upload: uploadOther } = await uploadRun(context);
    writeFileSync(join(other, "model-00002-of-00002.safetensors"), "short");
    await refusal(() => uploadOther(), "truncated-file");
    assert.deepEqual(hub.requests, []);
  });
});
