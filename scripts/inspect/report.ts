/** What a data folder holds, cluster by cluster. */
import { Database } from "./database.ts";
import { namesById } from "./object-name.ts";
import {
  type CommonReport,
  type CoordinatorReport,
  commonReport,
  coordinatorReport,
  type GroupReport,
  groupReport,
  type NotifierReport,
  notifierReport,
} from "./object-reports.ts";
import { CLASSES, type ClassName, type StoredObject, storedObjects } from "./stored-objects.ts";

/** An object with its state, or with the reason why its state could not be read. */
export type ObjectReport<State> = {
  id: string;
  /** Null if no name that occurs in the data has this id. */
  name: string | null;
  size_bytes: number;
  alarm_at: number | null;
} & ({ state: State & CommonReport } | { problem: string });

export type ClusterReport = {
  /** Null if it is not known, see ObjectReport. */
  name: string | null;
  coordinator: ObjectReport<CoordinatorReport> | null;
  groups: ObjectReport<GroupReport>[];
  notifier: ObjectReport<NotifierReport> | null;
};

export type Report = {
  data_dir: string;
  read_at: number;
  size_bytes: number;
  clusters: ClusterReport[];
};

/** The name of a cluster that nobody named. */
const DEFAULT_CLUSTER = "default";

/** What is read of an object besides its state, to find its name and its cluster. */
type Clues = { streamId: string | null; streamsApplied: Set<string>; clusters: string[]; groups: string[] };
type Inspected = { object: StoredObject; clues: Clues; report: ObjectReport<unknown>; className: ClassName };

/**
 * @param clusters names of clusters to try
 * @returns null if the folder holds no objects
 */
export function inspect(dataDir: string, clusters: readonly string[], nowMs: number): Report | null {
  const stored = storedObjects(dataDir);
  if (stored === null) return null;
  const inspected = stored.objects.map((object) => inspectObject(object, nowMs));
  nameAll(inspected, [
    DEFAULT_CLUSTER,
    ...clusters,
    ...stored.alarmNames.map((name) => name.split("/")[0] ?? ""),
  ]);
  return {
    data_dir: dataDir,
    read_at: nowMs,
    size_bytes: stored.objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    clusters: byCluster(inspected),
  };
}

function inspectObject(object: StoredObject, nowMs: number): Inspected {
  const common = { id: object.id, name: null, size_bytes: object.sizeBytes, alarm_at: object.alarmAtMs };
  const clues: Clues = { streamId: null, streamsApplied: new Set(), clusters: [], groups: [] };
  try {
    using database = new Database(object.path);
    if (!database.tables().includes("migrations")) {
      return {
        object,
        clues,
        className: object.class,
        report: { ...common, problem: "nothing was stored yet" },
      };
    }
    const state = { ...commonReport(database, object.class), ...stateOf(database, object.class, nowMs) };
    return {
      object,
      clues: cluesOf(database, object.class),
      className: object.class,
      report: { ...common, state },
    };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { object, clues, className: object.class, report: { ...common, problem } };
  }
}

function stateOf(database: Database, className: ClassName, nowMs: number) {
  switch (className) {
    case "Coordinator":
      return coordinatorReport(database, nowMs);
    case "AgentGroup":
      return groupReport(database);
    case "Notifier":
      return notifierReport(database);
  }
}

function cluesOf(database: Database, className: ClassName): Clues {
  const stream = database.first<{ value: string }>("SELECT value FROM meta WHERE name = 'stream_id'");
  const applied = database.all<{ stream: string }>("SELECT stream FROM inbox");
  const texts = (statement: string) => database.all<{ text: string }>(statement).map(({ text }) => text);
  return {
    streamId: stream?.value ?? null,
    streamsApplied: new Set(applied.map((row) => row.stream)),
    clusters:
      className === "Notifier"
        ? texts(
            "SELECT DISTINCT substr(dedup_key, 1, instr(dedup_key, '/') - 1) AS text FROM notification_incidents",
          )
        : [],
    groups: className === "Coordinator" ? texts("SELECT id AS text FROM groups") : [],
  };
}

/** Names every object whose name can be made of names that occur in the data. */
function nameAll(inspected: readonly Inspected[], candidates: readonly string[]): void {
  const clusters = new Set([...candidates, ...inspected.flatMap(({ clues }) => clues.clusters)]);
  const groups = inspected.flatMap(({ clues }) => clues.groups);
  const groupNames = [...clusters].flatMap((cluster) => groups.map((group) => `${cluster}/${group}`));
  for (const className of CLASSES) {
    const ofClass = inspected.filter((one) => one.className === className);
    const ids = new Set(ofClass.map(({ object }) => object.id));
    const names = namesById(className, ids, className === "AgentGroup" ? groupNames : clusters);
    for (const { report } of ofClass) report.name = names.get(report.id) ?? null;
  }
}

/** Objects of one cluster share its name, or apply each other's messages. */
function byCluster(inspected: readonly Inspected[]): ClusterReport[] {
  const clusters: (ClusterReport & { streams: Set<string> })[] = [];
  const clusterOf = ({ report, clues }: Inspected) => {
    const name = report.name?.split("/")[0] ?? null;
    const found = clusters.find(
      (cluster) =>
        (name !== null && cluster.name === name) ||
        (name === null && [...clues.streamsApplied].some((stream) => cluster.streams.has(stream))),
    );
    if (found !== undefined) return found;
    const cluster = { name, coordinator: null, groups: [], notifier: null, streams: new Set<string>() };
    clusters.push(cluster);
    return cluster;
  };
  // Coordinators come first: groups and notifiers apply their messages.
  for (const one of inspected) {
    const cluster = clusterOf(one);
    if (one.className === "Coordinator") {
      if (one.clues.streamId !== null) cluster.streams.add(one.clues.streamId);
      cluster.coordinator = one.report as ObjectReport<CoordinatorReport>;
    } else if (one.className === "AgentGroup") cluster.groups.push(one.report as ObjectReport<GroupReport>);
    else cluster.notifier = one.report as ObjectReport<NotifierReport>;
  }
  return clusters
    .map(({ streams: _, ...cluster }) => cluster)
    .sort((a, b) => (a.name ?? "\uffff").localeCompare(b.name ?? "\uffff"));
}
