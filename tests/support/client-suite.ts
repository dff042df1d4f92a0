/** Shared by the tests of the client: a server of the file, and agents that are stopped after each test. */
import { afterAll, afterEach, beforeAll } from "vitest";
import type { Agent } from "../../client/src/index.ts";
import { expectNoAgentLeft } from "./agent-process.ts";
import { ClusterClient } from "./cluster-client.ts";
import { type Server, startServer } from "./server.ts";

export class ClientSuite {
  readonly #name: string;
  readonly #agents: Agent[] = [];
  #server: Server | undefined;
  #clusters = 0;

  constructor(name: string) {
    this.#name = name;
  }

  get server(): Server {
    if (this.#server === undefined) throw new Error("the server runs while tests do");
    return this.#server;
  }

  /** Options for a cluster that no other test uses. */
  freshAccess(): { url: string; token: string; cluster: string } {
    this.#clusters += 1;
    const { url, adminToken: token } = this.server;
    return { url, token, cluster: `${this.#name}-${this.#clusters}` };
  }

  /** The same cluster as the coordinator itself shows it, not through the client. */
  clusterOf({ cluster }: { cluster: string }): ClusterClient {
    return new ClusterClient(this.server, cluster);
  }

  /** Stops the agent when the test is over. */
  keep(agent: Agent): Agent {
    this.#agents.push(agent);
    return agent;
  }

  async start(): Promise<void> {
    this.#server = await startServer();
  }

  async stopAgents(): Promise<void> {
    await Promise.all(this.#agents.splice(0).map((agent) => agent.stop({ graceSeconds: 0 })));
  }

  async end(): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    expectNoAgentLeft();
  }
}

/** To be called at the top of a test file. */
export function clientSuite(name: string): ClientSuite {
  const suite = new ClientSuite(name);
  beforeAll(() => suite.start());
  afterEach(() => suite.stopAgents());
  afterAll(() => suite.end());
  return suite;
}
