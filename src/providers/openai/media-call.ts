/** What calls for images and audio have in common: one answer, nothing that a limit could be written for. */
import type { CountedKind, TokenKind, UnitCounts } from '../../core/usage.ts'
import type { InputCounter } from '../input-counter.ts'
import { type CallRequest, InvalidCall } from '../provider.ts'

const MODEL_LENGTH_MAX = 256

export interface MediaCall {
  readonly model: string
  readonly stream: boolean
  /** The text of the prompt. */
  readonly counter: InputCounter
  /** Tokens of other kinds that the call can come to at the most. */
  readonly parts: { readonly [kind in TokenKind]?: number }
  readonly units: UnitCounts
  readonly certainUnits?: UnitCounts
  readonly billedBy: readonly CountedKind[]
  readonly audioOutput?: boolean
  readonly imageOutput?: boolean
  readonly parsed: unknown
}

/** Throws InvalidCall for a model name that is too long. */
export function mediaCall(media: MediaCall): CallRequest {
  if (media.model.length > MODEL_LENGTH_MAX)
    throw new InvalidCall(`"model" must be a string of at most ${MODEL_LENGTH_MAX} characters.`, 'model')
  const text = media.counter.estimate()
  const parts = Object.values(media.parts).reduce<number>((sum, count) => sum + (count ?? 0), 0)
  return {
    model: media.model,
    stream: media.stream,
    input: { ...text, highTokens: text.highTokens + parts, parts: media.parts },
    generates: false,
    outputLimit: undefined,
    answers: 1,
    thinkingBudget: 0,
    reasoning: false,
    structured: false,
    tools: false,
    audioOutput: media.audioOutput ?? false,
    imageOutput: media.imageOutput ?? false,
    units: media.units,
    ...(media.certainUnits ? { certainUnits: media.certainUnits } : {}),
    billedBy: media.billedBy,
    objects: [],
    unseenInput: media.counter.unseen,
    parsed: media.parsed,
  }
}
