/** How a stream of `invoke` ends in its maker's words when the limit is reached; the last chunk has Bedrock's metrics. */
import { chunkFrame } from './chunk-payload.ts'
import { METRICS } from './invoke-facts.ts'

/** What the chunks so far looked like: the member of the top that says something, and the one inside a choice. */
export interface ChunkShape {
  readonly top: string
  readonly choice: string
}

interface Counts {
  readonly inputTokens: number
  readonly outputTokens: number
}

type Chunk = Readonly<Record<string, unknown>>

/** `openBlocks`: of Nova. */
export function cutChunks(shape: ChunkShape, counts: Counts, openBlocks: readonly number[]): Buffer {
  const chunks = lastChunks(shape, counts, openBlocks)
  const metrics = { inputTokenCount: counts.inputTokens, outputTokenCount: counts.outputTokens }
  return Buffer.concat(
    chunks.map((chunk, i) => chunkFrame(i === chunks.length - 1 ? { ...chunk, [METRICS]: metrics } : chunk)),
  )
}

function lastChunks({ top, choice }: ChunkShape, counts: Counts, openBlocks: readonly number[]): readonly Chunk[] {
  const { inputTokens, outputTokens } = counts
  switch (top) {
    case 'generation':
      return [{ generation: '', prompt_token_count: null, generation_token_count: outputTokens, stop_reason: 'length' }]
    case 'outputText':
      return [
        {
          outputText: '',
          index: 0,
          totalOutputTextTokenCount: outputTokens,
          completionReason: 'LENGTH',
          inputTextTokenCount: inputTokens,
        },
      ]
    case 'completion':
      return [{ type: 'completion', completion: '', stop_reason: 'max_tokens', stop: null }]
    case 'event_type':
      return [{ is_finished: true, event_type: 'stream-end', finish_reason: 'MAX_TOKENS' }]
    case 'text':
      return [{ text: '', is_finished: true, finish_reason: 'MAX_TOKENS' }]
    case 'outputs':
      return [{ outputs: [{ text: '', stop_reason: 'length' }] }]
    case 'choices':
      return [{ choices: [lastChoice(choice)] }]
    case 'contentBlockDelta':
      return [
        ...openBlocks.map((contentBlockIndex) => ({ contentBlockStop: { contentBlockIndex } })),
        { messageStop: { stopReason: 'max_tokens' } },
        { metadata: { usage: { inputTokens, outputTokens }, metrics: {}, trace: {} } },
      ]
    default:
      return [{}]
  }
}

function lastChoice(choice: string): Chunk {
  if (choice === 'delta') return { index: 0, delta: {}, finish_reason: 'length' }
  if (choice === 'message') return { index: 0, message: { role: 'assistant', content: '' }, stop_reason: 'length' }
  return { index: 0, text: '', stop_reason: 'length' }
}
