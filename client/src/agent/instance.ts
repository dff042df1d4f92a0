/**
 * The name of an agent's process, `HOST/PID/RANDOM`. By this name the coordinator tells an agent that registers again
 * from a second process with the same id.
 */

const HOST_LIMIT = 128;
const RANDOM_BYTES = 8;

/** A new name; an agent keeps it for all its registrations. */
export function instanceName(): string {
  const { process } = globalThis as { process?: Partial<NodeJS.Process> };
  const random = Array.from(crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  return `${hostName(process)}/${process?.pid ?? 0}/${random.join("")}`;
}

/** `unknown` on platforms that do not tell it, browsers for example. */
function hostName(process: Partial<NodeJS.Process> | undefined): string {
  try {
    const name = process?.getBuiltinModule?.("os").hostname();
    return name?.replace(/[^\w.-]/g, "_").slice(0, HOST_LIMIT) || "unknown";
  } catch {
    // Deno, without the permission to ask.
    return "unknown";
  }
}
