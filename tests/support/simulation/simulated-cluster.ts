/**
 * One simulated cluster: a coordinator, a notifier and some groups, on a server that a test can kill and start. Messages
 * between the objects go over the simulated network.
 */
import type { DatabaseSync } from "node:sqlite";
import { Config, type ConfigInput } from "../../../src/contract/config.ts";
import { type Outcome, ok } from "../../../src/contract/problem.ts";
import type { HttpOutcome } from "../../../src/notifications/transports.ts";
import type { Address, MessageBatch, Receipt } from "../../../src/protocol/message-batch.ts";
import type { Revocation } from "../../../src/protocol/object-calls.ts";
import { AgentGroup } from "../../../src/services/agent-group/agent-group.ts";
import { Coordinator } from "../../../src/services/coordinator/coordinator.ts";
import type { Peers } from "../../../src/services/host.ts";
import { Notifier } from "../../../src/services/notifier/notifier.ts";
import type { NotifierEnvironment } from "../../../src/services/notifier/notifier-context.ts";
import { agentPrincipal } from "../principals.ts";
import type { Fate } from "./node-sql.ts";
import { SimulatedObject } from "./simulated-object.ts";
import { SimulatedSocket } from "./simulated-sockets.ts";
import type { World } from "./world.ts";

export type ClusterOptions = {
  config?: ConfigInput;
  /** The probability that a commit of any object crashes its instance. */
  crashesPerCommit?: number;
  onGroupCommit?(group: string, database: DatabaseSync): void;
};

export class SimulatedCluster {
  readonly world: World;
  readonly coordinator: SimulatedObject<Coordinator>;
  readonly notifier: SimulatedObject<Notifier>;
  /** The notifications of the channel `log`. */
  readonly logged: Record<string, unknown>[] = [];
  /** Attempts that wake-ups named as revoked, delivered or not. */
  readonly revoked: (Revocation & { agentId: string })[] = [];
  /** The messages that arrived at the receiver of webhooks, repeats included. */
  readonly received: { id: string; body: unknown }[] = [];
  /** The receiver's answer. */
  answers: () => { status: number; retryAfter: string | null } = () => ({ status: 200, retryAfter: null });
  crashesPerCommit: number;
  readonly #groups = new Map<string, SimulatedObject<AgentGroup>>();
  readonly #options: ClusterOptions;
  #config: Config;
  #boots = 1;
  #isUp = true;
  #reachableSinceMs: number | null = null;

  constructor(world: World, options: ClusterOptions = {}) {
    this.world = world;
    this.#options = options;
    this.crashesPerCommit = options.crashesPerCommit ?? 0;
    this.#config = Config.parse(options.config ?? {});
    this.coordinator = new SimulatedObject(world, {
      ...this.#common(),
      create: (host) => new Coordinator(host, this.#config),
    });
    this.notifier = new SimulatedObject(world, {
      ...this.#common(),
      create: (host) =>
        new Notifier(host, { environment: this.#environment(), cluster: "default", base: this.#config }),
      onLog: (event, fields) => {
        if (event === "failure_notification") this.logged.push(fields);
      },
    });
  }

  group(name: string): SimulatedObject<AgentGroup> {
    let group = this.#groups.get(name);
    if (group === undefined) {
      const { onGroupCommit } = this.#options;
      group = new SimulatedObject(this.world, {
        ...this.#common(),
        create: (host) => new AgentGroup(host, { cluster: "default", group: name }),
        ...(onGroupCommit && { onCommit: (database: DatabaseSync) => onGroupCommit(name, database) }),
      });
      this.#groups.set(name, group);
    }
    return group;
  }

  /** Opens a socket of an agent. */
  connect(group: string, agentId: string, incarnation: number): Outcome<SimulatedSocket> {
    const object = this.group(group);
    const connected = object.serve((service) =>
      service.connect(agentPrincipal(agentId, incarnation, { group })),
    );
    if (!connected.ok) return connected;
    const socket = new SimulatedSocket(connected.value, {
      nowMs: () => Math.floor(this.world.nowMs),
      received: ({ connection }, text) => object.serve((service) => service.receiveFrames(connection, text)),
      ended: (ended, isClean) => {
        object.serve((service) => service.disconnected(ended.connection, isClean));
        object.sockets.drop(ended);
      },
    });
    object.sockets.accept(socket);
    object.serve((service) => service.connected(socket.connection));
    return ok(socket);
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Another configuration file, for instances that start later. */
  useFile(config: ConfigInput): void {
    this.#config = Config.parse(config);
  }

  /** As `kill -9` of the server: every instance is gone, and no call is answered. */
  kill(): void {
    this.#isUp = false;
    for (const object of this.#objects()) object.end();
  }

  /** Starts the server again, as another process. */
  start(): void {
    this.#isUp = true;
    this.#reachableSinceMs = Math.floor(this.world.nowMs);
    this.#boots += 1;
    for (const object of this.#objects()) object.wake();
  }

  #objects(): { end(): void; wake(): void }[] {
    return [this.coordinator, this.notifier, ...this.#groups.values()];
  }

  #common() {
    return {
      peers: this.#peers(),
      reachableSinceMs: () => this.#reachableSinceMs,
      bootId: () => `boot-${this.#boots}`,
      isUp: () => this.#isUp,
      fateOf: (): Fate => {
        if (!this.world.random.chance(this.crashesPerCommit)) return "commits";
        return this.world.random.chance(0.5) ? "crashes before the commit" : "crashes after the commit";
      },
    };
  }

  /** What the notifier reaches: a receiver of webhooks behind the simulated network, and no mail. */
  #environment(): NotifierEnvironment {
    return {
      transports: {
        http: async ({ headers, body }): Promise<HttpOutcome> => {
          try {
            return await this.world.call((): HttpOutcome => {
              this.received.push({ id: headers["webhook-id"] ?? "", body: JSON.parse(body) });
              return { isAnswered: true, bodyStart: "", ...this.answers() };
            });
          } catch {
            return { isAnswered: false, reason: "the network lost it" };
          }
        },
        smtp: async () => ({ isAccepted: false, reason: "there is no mail here", isPermanent: true }),
        cloudflareMail: null,
      },
      secret: () => null,
      allowLocalTargets: true,
      publicUrl: "https://coordinator.example",
    };
  }

  #peers(): Peers {
    return {
      deliver: (receiver, batch) => this.world.call(() => this.#receive(receiver, batch)),
      sessionState: (group, agentId) =>
        this.world.call(() => this.group(group).serve((service) => service.sessionState(agentId))),
      wakeAgent: (group, wakeup) => {
        const { agentId, revoked = [] } = wakeup;
        this.revoked.push(...revoked.map((revocation) => ({ agentId, ...revocation })));
        return this.world.call(() => this.group(group).serve((service) => service.wakeAgent(wakeup)));
      },
      // Copied, as the arguments of calls between objects are.
      report: (reports) => {
        const copy = structuredClone(reports);
        return this.world.call(() => this.coordinator.serve((service) => service.reportAll(copy)));
      },
      unstartedTasks: (reads) =>
        this.world.call(() => this.coordinator.serve((service) => service.queries.unstartedTasks(reads))),
    };
  }

  #receive(receiver: Address, batch: MessageBatch): Receipt {
    // Copied, as the arguments of calls between objects are.
    const copy = structuredClone(batch);
    if (receiver === "coordinator") return this.coordinator.serve((service) => service.receive(copy));
    if (receiver === "notifier") return this.notifier.serve((service) => service.receive(copy));
    return this.group(receiver.slice("group/".length)).serve((service) => service.receive(copy));
  }
}
