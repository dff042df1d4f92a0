/** The objects of a data folder: `DIR/do/CLASS/ID.sqlite`, as workerd lays them out, and their alarms beside them. */
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { Database } from "./database.ts";

export const CLASSES = ["Coordinator", "AgentGroup", "Notifier"] as const;
export type ClassName = (typeof CLASSES)[number];

export type StoredObject = {
  class: ClassName;
  id: string;
  path: string;
  /** With what is not checkpointed yet. */
  sizeBytes: number;
  alarmAtMs: number | null;
};

export type Alarm = { id: string; atMs: number; name: string | null };

const NANOSECONDS_PER_MS = 1_000_000;
const OBJECT_FILE = /^[0-9a-f]{64}\.sqlite$/;

/** @returns null if the folder holds no objects: it is another folder, or nothing was stored yet */
export function storedObjects(dataDir: string): { objects: StoredObject[]; alarmNames: string[] } | null {
  const objects: StoredObject[] = [];
  const alarmNames: string[] = [];
  for (const className of CLASSES) {
    const folder = join(dataDir, "do", className);
    const files = filesIn(folder);
    const alarms = files.includes("metadata.sqlite") ? alarmsIn(join(folder, "metadata.sqlite")) : [];
    alarmNames.push(...alarms.flatMap(({ name }) => name ?? []));
    for (const file of files.filter((name) => OBJECT_FILE.test(name))) {
      const id = basename(file, ".sqlite");
      objects.push({
        class: className,
        id,
        path: join(folder, file),
        sizeBytes: sizeOf(join(folder, file)) + sizeOf(join(folder, `${file}-wal`)),
        alarmAtMs: alarms.find((alarm) => alarm.id === id)?.atMs ?? null,
      });
    }
  }
  return objects.length === 0 ? null : { objects, alarmNames };
}

/** None if workerd keeps them elsewhere by now: without them only the alarms are missing in a report. */
function alarmsIn(path: string): Alarm[] {
  try {
    using database = new Database(path);
    return database.all<Alarm>(
      `SELECT actor_id AS id, scheduled_time / ${NANOSECONDS_PER_MS} AS atMs, actor_name AS name FROM _cf_ALARM`,
    );
  } catch {
    return [];
  }
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}
