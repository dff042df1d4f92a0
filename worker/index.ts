/** The Worker: the HTTP application and the three kinds of object, wired together. */
import { createApp } from "./app.ts";

export { AgentGroup } from "../src/objects/agent-group.ts";
export { Coordinator } from "../src/objects/coordinator.ts";
export { Notifier } from "../src/objects/notifier.ts";

export default createApp();
