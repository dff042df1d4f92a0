/** Tasks in lines and cells. */
import type { Task } from "../index.ts";
import type { Printer } from "./printer.ts";
import { localTimes } from "./time.ts";

export const percent = ({ progress }: Task) => (progress === null ? "" : `${Math.round(progress * 100)}%`);

export const printTask = ({ id, status, assigned_to, pending_reason }: Task, printer: Printer): void =>
  printer.line(id, status, assigned_to, localTimes(pending_reason));
