/** Puts a mutant into the code under test: the file is changed as it is loaded, and nothing is written. */
import type { Plugin } from "vite";
import { MUTANTS, type Mutant, mutated } from "./mutants.ts";

/** The mutant that `MUTANT` names; null without one. @throws if there is no such mutant */
function mutantOf({ MUTANT }: NodeJS.ProcessEnv): Mutant | null {
  if (MUTANT === undefined) return null;
  const mutant = MUTANTS.find(({ name }) => name === MUTANT);
  if (mutant === undefined) throw new Error(`there is no mutant ${JSON.stringify(MUTANT)}`);
  return mutant;
}

/** For the projects that run in Node. Without `MUTANT` in the environment the plugin does nothing. */
export function mutation(env: NodeJS.ProcessEnv): Plugin[] {
  const mutant = mutantOf(env);
  if (mutant === null) return [];
  return [
    {
      name: `mutant-${mutant.name}`,
      enforce: "pre",
      transform: (code, id) => (id.split("?")[0]?.endsWith(`/${mutant.file}`) ? mutated(mutant, code) : null),
    },
  ];
}
