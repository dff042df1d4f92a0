/** Whether this version of the program can read a data folder. */
import { Database } from "../inspect/database.ts";
import { KNOWN_MIGRATIONS } from "../inspect/object-reports.ts";
import { type StoredObject, storedObjects } from "../inspect/stored-objects.ts";
import { done, type Outcome, refuse } from "./outcome.ts";

/** An object would refuse its storage at its first call; the start says so at once, and for the whole folder. */
export function checkDataVersion(dataDir: string): Outcome<void> {
  const newer = storedObjects(dataDir)?.objects.find(
    (object) => migrationsOf(object) > KNOWN_MIGRATIONS[object.class],
  );
  if (newer === undefined) return done(undefined);
  return refuse(
    "newerData",
    `data folder ${dataDir} was written by a newer version of the program: ${newer.path} has ` +
      `${migrationsOf(newer)} migrations, and this version knows ${KNOWN_MIGRATIONS[newer.class]}; ` +
      "run the newer version again, or use a backup that was made before the upgrade",
  );
}

/** 0 for a file that cannot be read: the object itself says what is wrong with it. */
function migrationsOf({ path }: StoredObject): number {
  try {
    using database = new Database(path);
    return database.count("migrations");
  } catch {
    return 0;
  }
}
