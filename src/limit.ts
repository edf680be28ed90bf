/** Bounds how much is done at once: first come, first served. */
export interface Limit {
  /** Waits for a place and keeps it until the returned function is called. */
  enter(): Promise<() => void>;
  /** Runs `action` in a place of its own. */
  run<T>(action: () => Promise<T>): Promise<T>;
}

export function createLimit(places: number): Limit {
  let free = places;
  const waiting: (() => void)[] = [];
  const leave = () => {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  };
  const enter = async () => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return leave;
  };
  return {
    enter,
    async run(action) {
      await enter();
      try {
        return await action();
      } finally {
        leave();
      }
    },
  };
}
