/** Writes files that only their owner may read. A crash leaves the old content or the new one, never a part. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;

export function writePrivateFile(path: string, text: string): void {
  const draft = `${path}.${process.pid}.draft`;
  const file = openSync(draft, "w", OWNER_ONLY_FILE);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  // A draft that a crash left behind keeps its mode.
  chmodSync(draft, OWNER_ONLY_FILE);
  renameSync(draft, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Restores the mode of a file that a person copied or edited. */
export function keepPrivate(path: string): void {
  chmodSync(path, OWNER_ONLY_FILE);
}

/**
 * Makes a folder and the folders above it. An existing folder keeps its mode: it may be a mounted volume.
 * @throws the error of the system if a folder cannot be made
 */
export function makePrivateFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const parent = dirname(path);
  // Not the option `recursive` of mkdir: Node tries for ever where no folder can be made, as in /proc.
  if (parent !== path && !existsSync(parent)) makePrivateFolder(parent);
  mkdirSync(path, { mode: OWNER_ONLY_FOLDER });
}
