/**
 * POST …/ocr of Mistral: reads the text of a document, billed by the page. A page counts as an image: that is what is
 * read of it, and what its price stands under (`per_unit: { images: … }`).
 * Source: docs.mistral.ai, "OCR" (at most 1,000 pages and 50 MB); recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { readCount } from '../counts.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import {
  type AnswerFacts,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type StreamReader,
} from '../provider.ts'
import { asObject, asText, readModel } from '../read-fields.ts'
import { SilentStream } from '../silent-stream.ts'
import { openAIErrorBody } from './error-event.ts'
import { readOpenAIBody } from './openai-call.ts'
import type { Fields } from './text-stream.ts'

const PAGES_MAX = 1000
/** No page of a PDF takes less, however well it is compressed. */
const BYTES_A_PAGE = 256
const NOTHING = { highTokens: 0, lowTokens: 0, cacheWriteTokens: 0, cacheWriteKind: 'cache_write_5m' } as const

export const ocrMetering: Metering = {
  readCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (): StreamReader => new SilentStream(openAIErrorBody),
  jsonMembers: ['model', 'usage_info'],
  readJson: (members) => factsOf(members),
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const fields = readOpenAIBody(raw, source.jsonDepth).value
  const document = asObject(fields['document'])
  if (!document) throw new InvalidCall('"document" is missing; send the document that is to be read.', 'document')
  const images = Math.min(pagesAskedFor(fields['pages']) ?? PAGES_MAX, pagesOf(document))
  return {
    ...PLAIN_CALL,
    model: readModel(fields),
    input: NOTHING,
    units: { images },
    billedBy: ['images'],
    parsed: undefined,
  }
}

/** A list of page numbers, one, or a text like "0-4,7". undefined: all. */
function pagesAskedFor(pages: unknown): number | undefined {
  if (Array.isArray(pages)) return Math.max(1, pages.length)
  return typeof pages === 'number' ? 1 : undefined
}

function pagesOf(document: Fields): number {
  if (document['type'] === 'image_url') return 1
  const url = asText(document['document_url'])
  if (!url?.startsWith('data:')) return PAGES_MAX
  return Math.min(PAGES_MAX, Math.max(1, Math.ceil((url.length * 3) / 4 / BYTES_A_PAGE)))
}

function factsOf(members: Fields): AnswerFacts {
  const usage = asObject(members['usage_info'])
  const pages = readCount(usage, 'pages_processed')
  const counted: Usage | undefined =
    pages === undefined ? undefined : { tokens: {}, units: { images: pages }, raw: usage }
  return {
    usage: counted,
    model: asText(members['model']),
    providerId: undefined,
    serviceTier: undefined,
    storedId: undefined,
  }
}
