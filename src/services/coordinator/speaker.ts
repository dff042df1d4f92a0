/** Who speaks, as the token says; null for an operator. */
export type Speaker = { agentId: string; incarnation: number } | null;
