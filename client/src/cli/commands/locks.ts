/** The command that lists locks and their waiters, or breaks one. */
import { type Lock, NotFoundError } from "../../index.ts";
import {
  type Command,
  CommandFailure,
  type Invocation,
  number,
  text,
  UsageError,
  valued,
} from "../command.ts";
import { CODES } from "../exit-codes.ts";
import { clock } from "../time.ts";

const DEFAULT_LIMIT = 50;

/** Locks read in one call. */
const PAGE = 500;

export const lockCommands: readonly Command[] = [
  {
    name: "locks",
    args: "[RESOURCE]",
    summary: "Show who holds locks and who waits for them, or break one",
    options: {
      group: valued("G", 'Group of the locks (default: all groups; for --break "default")'),
      break: valued("RESOURCE", "Release this lock although its holder has not"),
      limit: valued("N", "Show at most N (default 50)"),
    },
    examples: ["db/orders", "--break db/orders --group eu"],
    async run(call) {
      const {
        coordinator,
        options,
        printer,
        words: [resource],
      } = call;
      const group = text(options.group);
      const broken = text(options.break);
      if (broken !== undefined) {
        if (resource !== undefined) throw new UsageError(`name the lock once: --break ${broken}`);
        const lock = await coordinator.locks.break(broken, group ?? "default");
        return printer.show(lock, () => printer.line(`lock ${broken} broken`));
      }
      const limit = number(options.limit, "--limit") ?? DEFAULT_LIMIT;
      const found = await locksOf(call, { group, resource, limit: limit + 1 });
      if (resource !== undefined && found.length === 0)
        throw new CommandFailure(`no agent holds ${resource}`, CODES.refused);
      const shown = found.slice(0, limit);
      printer.show(shown, () =>
        printer.table(
          ["RESOURCE", "GROUP", "HOLDER", "TOKEN", "EXPIRES", "WAITERS"],
          shown.map((lock) => [
            lock.resource,
            lock.group,
            lock.holder,
            lock.fencing_token,
            clock(lock.expires_at),
            lock.waiters.join(" "),
          ]),
        ),
      );
      if (found.length > limit) printer.warn(`only ${limit} are shown; --limit N shows more`);
    },
  },
];

type Wanted = { group: string | undefined; resource: string | undefined; limit: number };

/** Locks of one group, or of all. */
async function locksOf({ coordinator }: Invocation, { group, resource, limit }: Wanted): Promise<Lock[]> {
  const groups = group === undefined ? (await coordinator.getClusterStatus()).groups : [group];
  const found: Lock[] = [];
  for (const one of groups) {
    if (resource === undefined) {
      for await (const lock of coordinator.locks.list(one, { limit: PAGE })) {
        found.push(lock);
        if (found.length === limit) return found;
      }
    } else {
      const lock = await coordinator.locks.get(resource, one).catch(noLock);
      if (lock !== null) found.push(lock);
    }
  }
  return found;
}

function noLock(error: unknown): null {
  if (error instanceof NotFoundError) return null;
  throw error;
}
