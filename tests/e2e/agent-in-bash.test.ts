/** The agent in bash, examples/agent.sh. */
import { exampleAgentSuite } from "../support/example-agent-suite.ts";
import { BASH } from "../support/example-agents.ts";

exampleAgentSuite(BASH);
