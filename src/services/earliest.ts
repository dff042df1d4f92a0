/** The earliest of some instants, those that are not set left out. */
export function earliest(...instants: (number | null)[]): number | null {
  const known = instants.filter((atMs) => atMs !== null);
  return known.length === 0 ? null : Math.min(...known);
}
