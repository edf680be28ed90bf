/**
 * How the Hub is reached and where its files are kept, as plain data. The command line fills it from its options and
 * the environment; a program gives what it wants, and the rest is as Python's huggingface_hub has it.
 */
import { homedir } from "node:os";
import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";

export interface HubSettings {
  /** Where the Hub is, without a slash at the end; default `https://huggingface.co`. */
  readonly endpoint: string;
  /** The folder with `models--owner--name`, shared with Python; default `~/.cache/huggingface/hub`. */
  readonly cacheFolder: string;
  /** Sent to the endpoint, and to nothing else; default null: what `tokenFile` holds. */
  readonly token: string | null;
  /**
   * Holds the token where `token` is null; it needn't exist. Default `~/.cache/huggingface/token`, where `hf auth
   * login` stores it; null: no token.
   */
  readonly tokenFile: string | null;
  /** Whether the cache has to do, and nothing is asked of the network; default false. */
  readonly offline: boolean;
  /**
   * Whether files in Xet storage are read by its protocol; otherwise over plain HTTP, as the Hub offers both.
   * Default true.
   */
  readonly useXet: boolean;
  /** Whether weights are read from the Hub as they are needed, and not stored in the cache; default false. */
  readonly stream: boolean;
  /** How requests leave the network; default: without a proxy. */
  readonly proxy: ProxySettings;
  /** How downloads go about it. */
  readonly transfer: TransferSettings;
}

/** How requests leave the network. */
export interface ProxySettings {
  /** URL of the proxy for `http:`; default null: none. */
  readonly http: string | null;
  /** URL of the proxy for `https:`; default null: none. */
  readonly https: string | null;
  /** Hosts that are reached without one, as NO_PROXY spells them. */
  readonly except: string;
}

/** How downloads go about it. */
export interface TransferSettings {
  /** Requests at once, over all files; default 8. */
  readonly connections: number;
  /** What one request asks for, in bytes; default 32 MiB. */
  readonly rangeBytes: number;
  /**
   * After this many new bytes what has arrived is noted: what a killed run loses at most, for each file. Default 1
   * MiB.
   */
  readonly noteBytes: number;
  /** Silence for so many milliseconds ends a request; default 10 000. */
  readonly stallMs: number;
  /** Failures in a row, without a byte in between, until it is given up; default 6. */
  readonly attempts: number;
  /** The wait after the first failure in milliseconds; each further one doubles it. Default 500. */
  readonly firstDelayMs: number;
  /** No wait is longer in milliseconds, even if the server asks for it; default 120 000. */
  readonly longestDelayMs: number;
}

const PLAIN_TRANSFER: TransferSettings = {
  connections: 8,
  rangeBytes: 32 * 1024 * 1024,
  noteBytes: 1024 * 1024,
  // As huggingface_hub's HF_HUB_DOWNLOAD_TIMEOUT.
  stallMs: 10_000,
  attempts: 6,
  firstDelayMs: 500,
  longestDelayMs: 120_000,
};

/** How the Hub is reached: any part; the rest is as Python's huggingface_hub has it. */
export type HubOptions = Partial<Omit<HubSettings, "transfer" | "proxy">> & {
  /** How downloads go about it: any part. */
  readonly transfer?: Partial<TransferSettings>;
  /** How requests leave the network: any part; default: without a proxy. */
  readonly proxy?: Partial<ProxySettings>;
};

/** Fills in what isn't given. */
export function completeHubSettings(options: HubOptions = {}): HubSettings {
  const home = join(homedir(), ".cache", "huggingface");
  return {
    endpoint: "https://huggingface.co",
    cacheFolder: join(home, "hub"),
    token: null,
    tokenFile: join(home, "token"),
    offline: false,
    useXet: true,
    stream: false,
    ...options,
    proxy: { http: null, https: null, except: "", ...options.proxy },
    transfer: { ...PLAIN_TRANSFER, ...options.transfer },
  };
}

/** Errors: `bad-usage` where there can be no Hub. */
export function checkEndpoint(endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && `${url.username}${url.password}` === "") return;
  const hasPassword = url !== null && `${url.username}${url.password}` !== "";
  throw new ApplyDeltaError("bad-usage", "The Hub's address can't be used.", {
    got: hasPassword ? `${url.protocol}//…@${url.host}` : endpoint,
    expected: "an address like https://huggingface.co, without a password in it",
    hint: "Set HF_ENDPOINT to the address of a Hub, or unset it; access is HF_TOKEN's.",
  });
}
