/**
 * The names of objects. Ids hold no `/`, so no two pairs of ids give one name: a cluster's
 * coordinator and notifier are called by its id, a group by `cluster/group`.
 */

export function groupName(cluster: string, group: string): string {
  return `${cluster}/${group}`;
}

export function partsOfGroupName(name: string): { cluster: string; group: string } {
  const [cluster, group] = name.split("/");
  if (cluster === undefined || group === undefined) throw new Error("a group object without a group's name");
  return { cluster, group };
}

/** Where a group takes an agent's socket, with the agent and its incarnation in the query. */
export const CONNECT_PATH = "/connect";

export function connectUrl(agentId: string, incarnation: number): string {
  const query = new URLSearchParams({ agent: agentId, incarnation: String(incarnation) });
  return `https://object${CONNECT_PATH}?${query}`;
}
