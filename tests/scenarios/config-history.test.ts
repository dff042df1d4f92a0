/** The record of changes of the configuration: by calls, and by another file. */
import { expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const changesOf = (cluster: ScriptedCluster) =>
  cluster.cluster.coordinator.serve((service) => service.config.history.list(10, null)).items;

async function patch(cluster: ScriptedCluster, change: ConfigInput): Promise<void> {
  const changed = cluster.cluster.coordinator.serve((service) => service.config.patch(change, null));
  await cluster.pass(50);
  good(await changed);
}

it("has each changed key of a call, the newest call first, and no secret", async () => {
  const cluster = new ScriptedCluster();
  expect(changesOf(cluster)).toEqual([]);
  await patch(cluster, { failover_config: { enabled: false, reliability_threshold: 0.4 } });
  await patch(cluster, { email_notification: { password: "first-secret" } });
  await patch(cluster, { email_notification: { password: "second-secret" } });
  await patch(cluster, { failover_config: { enabled: false } });
  expect(changesOf(cluster)).toMatchObject([
    {
      source: "call",
      version: 4,
      changes: [{ key: "email_notification.password", from: "[redacted]", to: "[redacted]" }],
    },
    { version: 3, changes: [{ key: "email_notification.password", to: "[redacted]" }] },
    {
      version: 2,
      at: expect.stringMatching(/Z$/),
      changes: [
        { key: "failover_config.enabled", from: true, to: false },
        { key: "failover_config.reliability_threshold", to: 0.4 },
      ],
    },
  ]);
  expect(JSON.stringify(changesOf(cluster))).not.toContain("-secret");
});

it("has what another configuration file changed, once", async () => {
  const cluster = new ScriptedCluster({ lock_config: { default_ttl_seconds: 30 } });
  await cluster.register("a");
  cluster.cluster.kill();
  cluster.cluster.useFile({ lock_config: { default_ttl_seconds: 7 } });
  cluster.cluster.start();
  await cluster.pass(1000);
  const file = {
    source: "file",
    changes: [{ key: "lock_config.default_ttl_seconds", from: 30, to: 7 }],
  };
  expect(changesOf(cluster)).toMatchObject([file]);
  cluster.cluster.kill();
  cluster.cluster.start();
  await cluster.pass(1000);
  expect(changesOf(cluster)).toMatchObject([file]);
});
