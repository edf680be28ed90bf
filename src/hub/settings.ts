/** How the Hub is reached and where its files are kept. What isn't given is as Python's huggingface_hub has it. */
import { homedir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { ApplyDeltaError } from "../errors.js";
import { anyText, flag, inGroup, text, toggle, wholeNumber, yesOrNo } from "../options.js";

const inCache = (name: string) => join(homedir(), ".cache", "huggingface", name);

export const hubSettings = z.strictObject({
  /** Where the Hub is, without a slash at the end; default `https://huggingface.co`. */
  // checkEndpoint says what is wrong with it.
  endpoint: z.string().default("https://huggingface.co"),
  /** The folder with `models--owner--name`, shared with Python; default `~/.cache/huggingface/hub`. */
  cacheFolder: flag("--cache-dir <folder>", "use this Hub cache (default: as HF_HOME says)", text()).default(
    () => inCache("hub"),
  ),
  /** Whether the cache has to do, and nothing is asked of the network; default false. */
  offline: toggle("--offline", "use the cache only, no network"),
  /** Sent to the endpoint, and to nothing else; default null: what `tokenFile` holds. */
  token: flag("--token <token>", "use this Hub token (default: HF_TOKEN, or your login)", text())
    .nullable()
    .default(null),
  /** Holds the token where `token` is null, as `hf auth login` does; default `~/.cache/huggingface/token`; null: none. */
  tokenFile: text()
    .nullable()
    .default(() => inCache("token")),
  /** Whether files in Xet storage are read by its protocol, or else over plain HTTP; default true. */
  useXet: yesOrNo().default(true),
  /** Whether files are shown in the cache's snapshots by links, where there are any; default true. */
  useLinks: yesOrNo().default(true),
  /** Certificates to trust besides Node's own: any part. */
  certificates: z
    .strictObject({
      /** A file of them, as PEM; default null: none. */
      file: text().nullable().default(null),
      /** A folder of such files; default null: none. */
      folder: text().nullable().default(null),
    })
    .prefault({}),
  /** Whether weights are read from the Hub as they are needed, and not stored in the cache; default false. */
  stream: toggle("--stream", "read weights from the Hub as needed and store none"),
  /** How requests leave the network: any part; default: without a proxy. */
  proxy: z
    .strictObject({
      /** URL of the proxy for `http:`; default null: none. */
      http: text().nullable().default(null),
      /** URL of the proxy for `https:`; default null: none. */
      https: text().nullable().default(null),
      /** Hosts that are reached without one, as NO_PROXY spells them; default none. */
      except: anyText().default(""),
    })
    .prefault({}),
  /** How downloads go about it: any part. */
  transfer: z
    .strictObject({
      /** Requests at once, over all files; default 8. */
      connections: wholeNumber(1).default(8),
      /** What one request asks for, in bytes; default 32 MiB. */
      rangeBytes: wholeNumber(1).default(32 * 1024 * 1024),
      /** A killed run loses at most what arrived in its last so many milliseconds; default 500. */
      noteMs: wholeNumber(0).default(500),
      /** Silence for so many milliseconds ends a request; default 10 000, as HF_HUB_DOWNLOAD_TIMEOUT's. */
      stallMs: wholeNumber(1).default(10_000),
      /** An answer must begin in so many milliseconds; default null: as `stallMs`. */
      answerMs: wholeNumber(1).nullable().default(null),
      /** Failures in a row, without a byte in between, after which a request may be given up; default 6. */
      attempts: wholeNumber(1).default(6),
      /**
       * A server that has answered before is tried for so many milliseconds, and may ask for a pause as long; default
       * 600 000. Until it answers for the first time, `attempts` alone decides.
       */
      patienceMs: wholeNumber(0).default(600_000),
      /** The wait after the first failure in milliseconds; each further one doubles it. Default 500. */
      firstDelayMs: wholeNumber(0).default(500),
      /** No wait is longer in milliseconds, unless the server asks for it; default 30 000. */
      longestDelayMs: wholeNumber(0).default(30_000),
    })
    .prefault({}),
});

inGroup("Hub", hubSettings.shape);

/** How the Hub is reached: any part; the rest is as Python's huggingface_hub has it. */
export type HubOptions = z.input<typeof hubSettings>;

export type HubSettings = z.output<typeof hubSettings>;

/** How requests leave the network. */
export type ProxySettings = HubSettings["proxy"];

/** How downloads go about it. */
export type TransferSettings = HubSettings["transfer"];

/** Fills in what isn't given. */
export function completeHubSettings(options: HubOptions = {}): HubSettings {
  return hubSettings.parse(options);
}

/** Errors: `bad-usage` where there can be no Hub. */
export function checkEndpoint(endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  const hasPassword = url !== null && `${url.username}${url.password}` !== "";
  if (url !== null && !hasPassword && /^https?:$/.test(url.protocol)) return;
  throw new ApplyDeltaError("bad-usage", "The Hub's address is malformed.", {
    got: hasPassword ? `${url.protocol}//…@${url.host}` : endpoint,
    expected: "an address like https://huggingface.co, without a password in it",
    hint: "Set HF_ENDPOINT to the address of a Hub, or unset it. Put credentials in HF_TOKEN.",
  });
}
