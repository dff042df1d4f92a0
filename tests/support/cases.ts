/** How many random cases a property is tried with: LONG=1 tries the greater number. Each run takes other cases. */
export const cases = (number: number, inLongRuns: number): { numRuns: number } => ({
  numRuns: process.env.LONG ? inLongRuns : number,
});
