/** What most calls have in common: one whole answer, nothing special asked for. Spread first, then the call's own. */
export const PLAIN_CALL = {
  stream: false,
  generates: false,
  outputLimit: undefined,
  answers: 1,
  thinkingBudget: 0,
  reasoning: false,
  structured: false,
  tools: false,
  audioOutput: false,
  objects: [] as readonly string[],
  unseenInput: false,
} as const
