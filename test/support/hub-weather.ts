/** Bad times of a Hub on loopback: when its servers don't answer at all, and when they want fewer requests. */
import type { Fault, RecordedRequest } from "./hub-server.js";

export type Server = RecordedRequest["at"];

/** So many requests are granted; the next one and those in the window after it are refused, with these headers; and so on. */
export interface RateLimit {
  readonly server: Server;
  readonly requests: number;
  readonly windowMs: number;
  /** How the server says how long the window still is. */
  readonly tells: "retry-after" | "ratelimit" | "nothing";
}

export type Weather = ReturnType<typeof createWeather>;

export function createWeather() {
  const outageEnds = new Map<Server, number>();
  let limit: RateLimit | null = null;
  let granted = 0;
  let windowEnds: number | null = null;
  return {
    /** Connections to these servers break for so long from now on. */
    outage(forMs: number, servers: readonly Server[] = ["hub", "content"]): void {
      for (const server of servers) outageEnds.set(server, performance.now() + forMs);
    },
    /** From now on. */
    limitRate(limits: RateLimit): void {
      limit = limits;
      granted = 0;
    },
    fault({ at }: RecordedRequest): Fault | undefined {
      const now = performance.now();
      if (now < (outageEnds.get(at) ?? 0)) return { kind: "reset" };
      if (limit?.server !== at) return undefined;
      if (windowEnds !== null && now >= windowEnds) [granted, windowEnds] = [0, null];
      if (windowEnds === null && granted++ < limit.requests) return undefined;
      windowEnds ??= now + limit.windowMs;
      const seconds = (windowEnds - now) / 1000;
      const headers = {
        "retry-after": { "retry-after": seconds.toFixed(3) },
        ratelimit: { ratelimit: `"api";r=0;t=${Math.ceil(seconds)}` },
        nothing: {},
      }[limit.tells];
      return { kind: "status", status: 429, headers };
    },
  };
}
