/** Arbitrary legal configurations, and the paths of their keys. */
import fc from "fast-check";
import { Config } from "../../src/contract/config.ts";

/** A reference to a secret by its name, which a configuration holds instead of the secret. */
export const reference = (name: string) => `$\{${name}}`;

const messages = "abcdefghijklmnopqrstuvwxyz0123456789";
const word = fc.string({ unit: fc.constantFrom(...messages), minLength: 1, maxLength: 12 });

/** Agent ids, among them names that every object inherits. */
export const agentId = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom("agent1", "agent2", "robot.7:arm-a", "a_b", "X") },
  { weight: 3, arbitrary: word },
  { weight: 1, arbitrary: fc.constantFrom("constructor", "toString", "prototype", "hasOwnProperty") },
);

const seconds = (min: number, max: number) => fc.double({ min, max, noNaN: true, noDefaultInfinity: true });
const nullable = <Value>(arbitrary: fc.Arbitrary<Value>) => fc.option(arbitrary, { nil: null });
/** Any subset of the keys; the defaults fill in the rest. */
const section = <Shape extends object>(shape: { [Key in keyof Shape]: fc.Arbitrary<Shape[Key]> }) =>
  fc.record(shape, { requiredKeys: [] });

const secret = fc.oneof(fc.constant(""), fc.constant(reference("SOME_SECRET")), word);
const weights = fc
  .record({
    reliability: seconds(0, 10),
    capability: seconds(0, 10),
    load: seconds(0, 10),
    performance: seconds(0, 10),
  })
  .filter((factors) => Object.values(factors).some((factor) => factor > 0));

const backups = fc.dictionary(agentId, fc.oneof(agentId, fc.uniqueArray(agentId, { maxLength: 3 })), {
  maxKeys: 5,
  noNullPrototype: true,
});

const withoutSelf = (map: Record<string, string | string[]>) =>
  Object.fromEntries(Object.entries(map).filter(([agent, names]) => ![names].flat().includes(agent)));

const headers = fc
  .uniqueArray(fc.constantFrom("Content-Type", "Authorization", "X-Api-Key", "X-Team", "constructor"))
  .chain((names) => fc.tuple(...names.map((name) => secret.map((value) => [name, value] as const))))
  .map((entries) => Object.fromEntries(entries));

/** Complete legal configurations. */
export const configuration: fc.Arbitrary<Config> = section({
  failover_config: section({
    enabled: fc.boolean(),
    preserve_task_priority: fc.boolean(),
    max_reassignment_attempts: fc.integer({ min: 0, max: 100 }),
    critical_agents: fc.array(agentId, { maxLength: 4 }),
    backup_agents: backups.map(withoutSelf),
    failover_strategy_type: fc.constantFrom("failover", "backup_agent"),
    reliability_threshold: seconds(0, 1),
    task_priority_levels: fc
      .uniqueArray(fc.integer({ min: 0, max: 10 }), { minLength: 3, maxLength: 3 })
      .map((values) => {
        const [low, medium, high] = values.toSorted((one, other) => one - other);
        return { low, medium, high };
      }),
    weights: section({ high: nullable(weights), medium: nullable(weights), low: nullable(weights) }),
  }),
  failure_notification: section({
    notification_types: fc.uniqueArray(fc.constantFrom("log", "email", "webhook", "system")),
    min_severity: fc.constantFrom("info", "warning", "error", "critical"),
  }),
  email_notification: section({
    recipients: fc.array(
      word.map((name) => `${name}@mail.test`),
      { maxLength: 3 },
    ),
    smtp_port: fc.integer({ min: 1, max: 65_535 }),
    password: secret,
  }),
  webhook_notification: section({
    url: fc.constantFrom("", "https://hooks.test/failover"),
    headers,
    secret,
  }),
  heartbeat_config: section({
    interval_seconds: seconds(0.1, 29),
    reconnect_grace_seconds: seconds(0, 60),
  }),
  lock_config: section({ default_ttl_seconds: seconds(0.1, 3600) }),
  task_config: section({
    default_timeout_seconds: nullable(seconds(0.1, 3600)),
    default_start_timeout_seconds: nullable(seconds(0.1, 3600)),
    late_result_policy: fc.constantFrom("keep", "accept_if_unfinished", "reject"),
  }),
  safe_mode_config: section({ enabled: fc.boolean(), min_agents: fc.integer({ min: 1, max: 100 }) }),
}).map((input) => Config.parse(input));

/** The path of every section and of every key in a section. */
export const configPaths: readonly (readonly [string] | readonly [string, string])[] = Object.entries(
  Config.parse({}),
).flatMap(([name, keys]) => [[name] as const, ...Object.keys(keys).map((key) => [name, key] as const)]);
