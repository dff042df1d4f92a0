/** The agent in Python, examples/python_agent.py. */
import { exampleAgentSuite } from "../support/example-agent-suite.ts";
import { PYTHON } from "../support/example-agents.ts";

exampleAgentSuite(PYTHON);
