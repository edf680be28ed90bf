/** The folder the work goes on in until it is whole. */
export function stagingPathOf(target: string): string {
  return `${target}.incomplete`;
}
