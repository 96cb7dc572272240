/**
 * How many searches a grounded answer is billed for. Gemini 3 and later: each distinct query that is not empty. Earlier
 * models: one for a prompt whose answer rests on at least one result, however many queries were made; pages that the
 * caller named (URL context) are results too, but of no query. Grounding with Google Maps is billed by the prompt and is
 * counted with them.
 * Sources: ai.google.dev/gemini-api/docs/google-search, "Pricing"; ai.google.dev/gemini-api/docs/pricing;
 * cloud.google.com/vertex-ai/generative-ai/pricing, "Grounding".
 */
import { asArray, asObject, asText } from '../read-fields.ts'

export interface Grounding {
  /** `webSearchQueries` and `imageSearchQueries` of all candidates. */
  readonly queries: readonly unknown[]
  /** `groundingChunks` of all candidates. */
  readonly chunks: readonly unknown[]
}

/** Queries of one prompt that are held, where each is billed: nothing bounds how many a model makes. */
const QUERIES_HELD = 5

export function countSearches({ queries, chunks }: Grounding, model: string): number {
  const fromWeb = chunks.some((chunk) => asObject(asObject(chunk)?.['web']) !== undefined)
  const fromMaps = chunks.some((chunk) => asObject(asObject(chunk)?.['maps']) !== undefined)
  const distinct = new Set(queries.map(asText).filter((query) => query !== undefined && query.trim() !== '')).size
  if (billsQueries(model)) return distinct > 0 ? distinct : fromMaps ? 1 : 0
  return (fromWeb && distinct > 0) || fromMaps ? 1 : 0
}

/** What a call with a search tool is held for. */
export function heldSearches(model: string): number {
  return billsQueries(model) ? QUERIES_HELD : 1
}

/** The grounding of a parsed answer or chunk. */
export function readGrounding(answer: Readonly<Record<string, unknown>>): Grounding {
  const queries: unknown[] = []
  const chunks: unknown[] = []
  for (const candidate of asArray(answer['candidates'])) {
    const metadata = asObject(asObject(candidate)?.['groundingMetadata'])
    queries.push(...asArray(metadata?.['webSearchQueries']), ...asArray(metadata?.['imageSearchQueries']))
    chunks.push(...asArray(metadata?.['groundingChunks']))
  }
  return { queries, chunks }
}

/** Gemini 3 and later. An alias without a number is taken for a current model. */
export function billsQueries(model: string): boolean {
  const generation = /gemini-(\d+)/.exec(model)?.[1]
  return generation === undefined ? !/^(text|chat)-/.test(model) : Number(generation) >= 3
}
