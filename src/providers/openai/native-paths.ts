/**
 * Calls of providers that speak OpenAI's format in the main and have APIs of their own beside it, by their last segments.
 * What only lists or changes things, and what states nothing that could be counted (Replicate's predictions), is not
 * here: it passes only where `unmetered_paths` names it.
 */
import type { Endpoint } from '../../config/snapshot.ts'
import type { Metering, Operation } from '../provider.ts'
import { alephAlphaMetering } from './aleph-alpha.ts'
import { chatMetering } from './chat.ts'
import { embeddingsMetering } from './embeddings.ts'
import { invocationsMetering } from './invocations.ts'
import { modelRootMetering } from './model-root.ts'
import { agentMetering, fimMetering, promptMetering } from './named-elsewhere.ts'
import { ocrMetering } from './ocr.ts'
import { rerankMetering } from './rerank.ts'
import { tgiMetering } from './tgi.ts'
import { watsonxChatMetering, watsonxEmbeddingsMetering, watsonxGenerationMetering } from './watsonx.ts'

const writerChat = metered('chat', chatMetering)
const agent = metered('chat', agentMetering)
const prompt = metered('completions', promptMetering)
const fim = metered('completions', fimMetering)
const rerank = metered('rerank', rerankMetering)
const ocr = metered('ocr', ocrMetering)
const embeddings = metered('embeddings', embeddingsMetering)
const alephAlpha = metered('completions', alephAlphaMetering)
const tgi = metered('completions', tgiMetering)
const modelRoot = metered('completions', modelRootMetering)
const invocations = metered('chat', invocationsMetering)
const watsonxChat = metered('chat', watsonxChatMetering)
const watsonxGeneration = metered('completions', watsonxGenerationMetering)
const watsonxEmbeddings = metered('embeddings', watsonxEmbeddingsMetering)

/** `at(1)` is the segment before the last, `at(2)` the one before that. */
type At = (back: number) => string | undefined

/** By the last segment; each says whether what stands before it is right. */
const BY_LAST: ReadonlyMap<string, (at: At) => Operation | undefined> = new Map<
  string,
  (at: At) => Operation | undefined
>([
  [
    'completions',
    (at) => (at(1) === 'fim' ? fim : at(1) === 'agents' ? agent : at(2) === 'prompts' ? prompt : undefined),
  ],
  ['chat', (at) => (at(1) === 'text' ? watsonxChat : at(1) === 'v1' ? writerChat : undefined)],
  ['chat_stream', (at) => (at(1) === 'text' ? watsonxChat : undefined)],
  ['generation', (at) => (at(1) === 'text' ? watsonxGeneration : undefined)],
  ['generation_stream', (at) => (at(1) === 'text' ? watsonxGeneration : undefined)],
  ['text', (at) => (at(1) === 'generation' ? watsonxGeneration : undefined)],
  ['text_stream', (at) => (at(1) === 'generation' ? watsonxGeneration : undefined)],
  ['embeddings', (at) => (at(1) === 'text' ? watsonxEmbeddings : undefined)],
  ['multimodalembeddings', () => embeddings],
  ['contextualizedembeddings', () => embeddings],
  ['rerank', () => rerank],
  ['ocr', () => ocr],
  // Ollama's /api/generate and Cohere's /v1/generate are theirs.
  ['generate', (at) => (at(1) === 'api' || at(1) === 'v1' ? undefined : tgi)],
  ['generate_stream', () => tgi],
  // Anthropic's retired /v1/complete is its own.
  ['complete', (at) => (at(1) === 'v1' ? undefined : alephAlpha)],
  ['invocations', (at) => (at(2) === 'endpoints' || at(2) === 'serving-endpoints' ? invocations : undefined)],
])

/** undefined where the path is none of these. */
export function matchNative(segments: readonly string[]): Operation | undefined {
  return BY_LAST.get(segments.at(-1) ?? '')?.((back) => segments.at(-1 - back))
}

/** The root of a model or of a server that has one alone: looked for after every other path. */
export function matchModelRoot(segments: readonly string[]): Operation | undefined {
  return isModelRoot(segments) ? modelRoot : undefined
}

/** `/`, `/models/OWNER/NAME`, `/hf-inference/models/…`, `/pipeline/TASK/OWNER/NAME`, `/models/…/pipeline/TASK`. */
function isModelRoot(segments: readonly string[]): boolean {
  if (segments.length === 2) return segments[1] === ''
  const start = segments[1] === 'hf-inference' ? 2 : 1
  const rest = segments.slice(start + 1)
  if (rest.some((segment) => segment === '')) return false
  if (segments[start] === 'pipeline') return rest.length === 2 || rest.length === 3
  if (segments[start] !== 'models') return false
  const task = rest.indexOf('pipeline')
  return task < 0 ? rest.length === 1 || rest.length === 2 : task >= 1 && task <= 2 && rest.length === task + 2
}

function metered(endpoint: Endpoint, metering: Metering): Operation {
  return { format: 'openai', endpoint, kind: 'metered', metering }
}
