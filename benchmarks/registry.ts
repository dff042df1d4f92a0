/** All benchmarks, in the order in which they run. */
import type { Benchmark } from "./benchmark.ts";
import { command } from "./command.ts";
import { failover } from "./failover.ts";
import { http } from "./http.ts";
import { notifications } from "./notifications.ts";
import { strategies } from "./strategies.ts";

export const BENCHMARKS: readonly Benchmark[] = [strategies, http, failover, notifications, command];
