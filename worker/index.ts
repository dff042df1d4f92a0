/** The Worker: the HTTP application, the three kinds of object, and where mail is sent, wired together. */
import type { Env } from "../src/objects/env.ts";
import { recordRequest } from "../src/objects/first-request.ts";
import { createApp } from "./app.ts";

export { AgentGroup } from "../src/objects/agent-group.ts";
export { Coordinator } from "../src/objects/coordinator.ts";
export { Notifier } from "../src/objects/notifier.ts";
export { SmtpClient } from "../src/objects/transports/smtp.ts";

const app = createApp();

export default {
  fetch(request, env, ctx) {
    recordRequest();
    return app.fetch(request, env, ctx);
  },
  // Without this handler, workerd logs each `CONNECT` request as an exception.
  async connect(socket) {
    await socket.close();
  },
} satisfies ExportedHandler<Env>;
