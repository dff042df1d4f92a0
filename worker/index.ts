/** The Worker: the HTTP application and the three kinds of object, wired together. */
import type { Env } from "../src/objects/env.ts";
import { noteReachable } from "../src/objects/reachable.ts";
import { createApp } from "./app.ts";

export { AgentGroup } from "../src/objects/agent-group.ts";
export { Coordinator } from "../src/objects/coordinator.ts";
export { Notifier } from "../src/objects/notifier.ts";

const app = createApp();

export default {
  fetch(request, env, ctx) {
    noteReachable();
    return app.fetch(request, env, ctx);
  },
} satisfies ExportedHandler<Env>;
