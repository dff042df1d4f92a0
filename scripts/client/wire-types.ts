/**
 * Writes the shapes of `client/src/wire.ts` as plain TypeScript from the schemas of the contract, so that the published
 * declarations need no zod. A test compares both.
 */
import * as z from "zod";
import * as agent from "../../src/contract/agent.ts";
import { ClusterStatus } from "../../src/contract/cluster.ts";
import { ConfigRevision } from "../../src/contract/config/revision.ts";
import { AppliedDefaults, Config } from "../../src/contract/config.ts";
import { Event } from "../../src/contract/event.ts";
import { Failure, FailureFilter } from "../../src/contract/failure.ts";
import { Incident, IncidentFilter } from "../../src/contract/incident.ts";
import { Lock } from "../../src/contract/lock.ts";
import { AgentMessage, MessageSending } from "../../src/contract/message.ts";
import { Notification, NotificationFilter, NotificationTestResult } from "../../src/contract/notification.ts";
import { Decision } from "../../src/contract/placement/decision.ts";
import { Readiness, SimulatedFailover } from "../../src/contract/placement/failover-simulation.ts";
import { ErrorCode, FieldError } from "../../src/contract/problem.ts";
import { RevocationReason, ServerFrame } from "../../src/contract/socket.ts";
import * as task from "../../src/contract/task.ts";

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Shapes of requests, in which a field with a default may be left out. */
const SENT = {
  TaskSubmission: task.TaskSubmission,
  TaskFilter: task.TaskFilter,
  Registration: agent.Registration,
  AgentFilter: agent.AgentFilter,
  FailureReport: agent.FailureReport,
  FailureFilter,
  MessageSending,
  IncidentFilter,
  NotificationFilter,
};

/** Shapes of answers. */
const ANSWERED = {
  ErrorCode,
  FieldError,
  TaskStatus: task.TaskStatus,
  Task: task.Task,
  LateResult: task.LateResult,
  Decision,
  Load: agent.Load,
  HeartbeatAnswer: agent.HeartbeatAnswer,
  AgentView: agent.Agent,
  DrainMode: agent.DrainMode,
  RevocationReason,
  AgentMessage,
  Lock,
  Failure,
  Incident,
  Notification,
  NotificationTestResult,
  ConfigRevision,
  ClusterEvent: Event,
  ClusterStatus,
  SimulatedFailover,
  Readiness,
  Config,
  AppliedDefaults,
  ServerFrame,
};

const NAMES = new Map<unknown, string>(
  [...Object.entries(SENT), ...Object.entries(ANSWERED)].map(([name, schema]) => [schema, name]),
);

/** One declaration for each shape, by name. Descriptions of the schemas become comments. */
export function wireTypes(): Map<string, string> {
  const types = new Map<string, string>([
    [
      "JsonValue",
      "type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };",
    ],
  ]);
  for (const [name, schema] of Object.entries(SENT)) types.set(name, declaration(name, schema, "input"));
  for (const [name, schema] of Object.entries(ANSWERED)) types.set(name, declaration(name, schema, "output"));
  return types;
}

function declaration(name: string, schema: z.ZodType, io: "input" | "output"): string {
  const written = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const known = NAMES.get(zodSchema);
      if (known !== undefined && (zodSchema as unknown) !== schema) jsonSchema.tsName = known;
    },
  });
  const definitions = (written.$defs ?? {}) as Record<string, JsonSchema>;
  const typeOf = (one: JsonSchema): string => typeText(one, definitions);
  const own = written.$ref === undefined ? written : definitionOf(written.$ref, definitions);
  const text = typeOf(own);
  // docs/configuration.md explains every key of the configuration, which is long.
  return `type ${name} = ${name === "Config" ? text.replace(/\/\*\* .*? \*\/ /g, "") : text};`;
}

function definitionOf(ref: string, definitions: Record<string, JsonSchema>): JsonSchema {
  const found = definitions[ref.replace("#/$defs/", "")];
  if (found === undefined) throw new Error(`${ref} is not defined`);
  return found;
}

function typeText(schema: JsonSchema, definitions: Record<string, JsonSchema>): string {
  const typeOf = (one: JsonSchema | boolean) => typeText(one as JsonSchema, definitions);
  if (typeof schema.tsName === "string") return schema.tsName;
  if (schema.$ref !== undefined) return typeOf(definitionOf(schema.$ref, definitions));
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined) return [...new Set(either.map(typeOf))].join(" | ");
  if (Array.isArray(schema.type)) return schema.type.join(" | ");
  switch (schema.type) {
    case "string":
    case "boolean":
    case "null":
      return schema.type;
    case "integer":
    case "number":
      return "number";
    case "array": {
      const item = typeOf(schema.items as JsonSchema);
      return /[|{]/.test(item) ? `(${item})[]` : `${item}[]`;
    }
    case "object":
      return objectText(schema, typeOf);
    case undefined:
      return "JsonValue";
    default:
      throw new Error(`no type for ${JSON.stringify(schema)}`);
  }
}

function objectText(schema: JsonSchema, typeOf: (one: JsonSchema | boolean) => string): string {
  const { properties = {}, required = [], additionalProperties, propertyNames } = schema;
  const members = Object.entries(properties).map(([name, property]) => {
    const comment = describe(property as JsonSchema);
    const isRequired = required.includes(name);
    return `${comment}${name}${isRequired ? ": " : "?: "}${typeOf(property)}${isRequired ? "" : " | undefined"};`;
  });
  const hasOthers = typeof additionalProperties === "object" && Object.keys(properties).length === 0;
  if (hasOthers) {
    const keys = (propertyNames as JsonSchema | undefined)?.enum;
    const value = typeOf(additionalProperties as JsonSchema);
    if (keys === undefined) return `Record<string, ${value}>`;
    const record = `Record<${keys.map((key) => JSON.stringify(key)).join(" | ")}, ${value}>`;
    return required.length === 0 ? `Partial<${record}>` : record;
  }
  return `{ ${members.join(" ")} }`;
}

/** Descriptions of an id or of any JSON value explain nothing about the member. */
const COMMONPLACES = ["1 to 128 characters of", "Any JSON value."];

function describe({ description }: JsonSchema): string {
  if (description === undefined || COMMONPLACES.some((start) => description.startsWith(start))) return "";
  return `/** ${description} */ `;
}
