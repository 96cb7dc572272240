/**
 * What a rerank call reads and how many searches it may come to. Cohere, Jina, Voyage and vLLM take the same body; the
 * first is billed by the search, the others by the token.
 *
 * One search is a query with up to 100 documents; a document longer than 500 tokens together with the query counts as
 * one for each piece of that length.
 * Source: cohere.com/pricing, "How is a search unit defined?"; docs.cohere.com, "Best Practices for using Rerank".
 */
import { InputCounter } from './input-counter.ts'
import { type CallRequest, InvalidCall } from './provider.ts'
import { asArray } from './read-fields.ts'
import { textHundredths } from './token-count.ts'

type Fields = Readonly<Record<string, unknown>>

const DOCUMENTS_A_SEARCH = 100
const TOKENS_A_PIECE = 500
/** Separators and a prefix around query and document. */
const PAIR_TOKENS = 8
/** An image among the documents of a multimodal reranker. */
const IMAGE_TOKENS = 4096

export interface RerankInput {
  readonly input: CallRequest['input']
  /** At the most. */
  readonly searches: number
}

/** Throws InvalidCall where query or documents are missing. */
export function readRerankInput(fields: Fields): RerankInput {
  const { query, documents } = fields
  if (query === undefined || query === null) throw new InvalidCall('"query" is missing; name what to rank by.', 'query')
  if (!Array.isArray(documents))
    throw new InvalidCall('"documents" must be an array of strings or objects.', 'documents')
  const queryTokens = hundredthsOf(query) / 100
  const counter = new InputCounter({ image: () => IMAGE_TOKENS })
  let pieces = 0
  for (const document of asArray(documents)) {
    // The query is read beside each document, and counted so by those who bill tokens.
    counter.addContent(query)
    counter.addContent(document)
    pieces += piecesOf(hundredthsOf(document) / 100, queryTokens)
  }
  counter.addOverhead(PAIR_TOKENS * documents.length)
  return { input: counter.estimate(), searches: Math.max(1, Math.ceil(pieces / DOCUMENTS_A_SEARCH)) }
}

function piecesOf(tokens: number, queryTokens: number): number {
  const room = Math.max(1, TOKENS_A_PIECE - queryTokens)
  return Math.max(1, Math.ceil(tokens / room))
}

function hundredthsOf(value: unknown): number {
  return textHundredths(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
}
