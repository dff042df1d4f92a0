/**
 * The order of test files: those that take longest start first, so that no worker ends long after the others. The test
 * runner knows the times of the last run, but a fresh clone has none.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** By the times that were seen; a file that is missing here is ordered by its size. */
const LONGEST = [
  "tests/simulation/restarts.test.ts",
  "tests/e2e/documents.test.ts",
  "tests/e2e/cli-outcomes.test.ts",
  "tests/e2e/cli-tasks.test.ts",
  "tests/e2e/demo.test.ts",
  "tests/e2e/fault-eviction.test.ts",
  "tests/e2e/commands.test.ts",
  "tests/e2e/agent-in-bash.test.ts",
  "tests/e2e/agent-in-python.test.ts",
  "tests/e2e/client-examples.test.ts",
  "tests/e2e/notifications-webhook.test.ts",
  "tests/e2e/client-package.test.ts",
  "tests/e2e/fault-durability.test.ts",
];

const rank = ({ moduleId }: TestSpecification): number => {
  const index = LONGEST.findIndex((file) => moduleId.endsWith(file));
  return index === -1 ? LONGEST.length : index;
};

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    // Projects keep their order, which comes first.
    const projects = [...new Set(sorted.map(({ project }) => project))];
    return projects.flatMap((project) =>
      sorted.filter((file) => file.project === project).toSorted((one, other) => rank(one) - rank(other)),
    );
  }
}
