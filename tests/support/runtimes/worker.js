/** A Worker that submits a task and waits for its end, with the published client in workerd. */
import { DistributedCoordinator, isFinished } from "./index.js";

export default {
  async fetch(request) {
    const { task, ...access } = await request.json();
    const coordinator = new DistributedCoordinator(access);
    const { decision } = await coordinator.tasks.submit(task);
    const ended = await coordinator.tasks.wait(task.id, { waitSeconds: 20 });
    const error = await coordinator.tasks.get("no-such-task").catch(({ name }) => name);
    return Response.json({
      explanation: decision?.explanation,
      result: ended.result,
      isFinished: isFinished(ended),
      error,
    });
  },
};
