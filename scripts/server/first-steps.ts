/** What a server prints for a new user: its address, where the admin token is, and the line that starts a first agent. */
import { origin, reachable } from "./address.ts";
import type { Plan } from "./start-plan.ts";

/** The lines name the file of the token, never the token: output is kept in logs. */
export function firstSteps({ settings, port, adminTokenFile }: FirstStepsOf): string[] {
  const address = origin(reachable(settings.host), port);
  const token =
    adminTokenFile === null
      ? '"$ADMIN_TOKEN"'
      : `"$(sed -n 's/.*"admin_token": "\\([^"]*\\)".*/\\1/p' ${quoted(adminTokenFile)})"`;
  return [
    `address: ${address}`,
    `admin token: ${adminTokenFile === null ? "the one in ADMIN_TOKEN" : `"admin_token" in ${adminTokenFile}`}`,
    `first agent: URL=${address} ADMIN_TOKEN=${token} npx node examples/demo_agent.ts agent1 task_type1`,
  ];
}

type FirstStepsOf = Pick<Plan, "port" | "adminTokenFile"> & { settings: { host: string } };

/** As one word of a shell. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
