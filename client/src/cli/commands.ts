/** Every command there is, in the order of the help. */
import { ACTING } from "./change.ts";
import type { Command } from "./command.ts";
import { CONFIGURING } from "./config.ts";
import { LOOKING } from "./show.ts";
import { FORESEEING } from "./simulate.ts";
import { TENDING } from "./tasks.ts";

export const COMMANDS: readonly Command[] = [
  ...LOOKING,
  ...ACTING,
  ...TENDING,
  ...FORESEEING,
  ...CONFIGURING,
];
