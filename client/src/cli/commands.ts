/** Every command there is, in the order of the help. */
import { ACTING } from "./act.ts";
import type { Command } from "./command.ts";
import { CONFIGURING } from "./config.ts";
import { FORESEEING } from "./foresight.ts";
import { LOOKING } from "./look.ts";
import { TENDING } from "./tasks.ts";

export const COMMANDS: readonly Command[] = [
  ...LOOKING,
  ...ACTING,
  ...TENDING,
  ...FORESEEING,
  ...CONFIGURING,
];
