/** Agents of a checked cluster that have a socket, or the address of one. */
import { RegistrationAnswer } from "../../src/contract/agent.ts";
import { AgentSocket } from "./agent-socket.ts";
import { type CheckedCluster, type Registering, TestAgent } from "./checked-cluster.ts";

/** An agent with the address of its socket. */
export async function registered(cluster: CheckedCluster, id: string, registering: Registering = {}) {
  const answer = await cluster.tryRegister(id, registering);
  const registration = RegistrationAnswer.parse(answer.body);
  const agent = new TestAgent(cluster, registering.group ?? "default", registration);
  return { agent, url: registration.websocket_url, token: registration.token };
}

export async function connected(cluster: CheckedCluster, id: string, registering: Registering = {}) {
  const { agent, url, token } = await registered(cluster, id, registering);
  return { agent, url, token, socket: await AgentSocket.open(url, token) };
}
