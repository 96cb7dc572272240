/** A reader for tests of the meter alone: notes each event, and gives the verdict that its data asks for. */
import type { AnswerFacts, EventVerdict, StreamEvent, StreamReader } from '../../../src/providers/provider.ts'

const NOTHING: AnswerFacts = {
  usage: undefined,
  model: undefined,
  providerId: undefined,
  serviceTier: undefined,
  storedId: undefined,
}

/** Data `drop…` is dropped, `end…` is terminal, `throw…` throws, `text:N` counts N tokens; all else passes. */
export class RecordingReader implements StreamReader {
  readonly events: { readonly name: string; readonly data: string; readonly raw: string }[] = []
  readonly facts = NOTHING
  outputTokens = 0
  finished = false
  /** All events pass, whatever their data. */
  passAll = false
  readonly failed = false
  readonly unreadable = false
  endsByFraming = true

  onEvent(event: StreamEvent): EventVerdict {
    const data = event.data.toString()
    this.events.push({ name: event.name, data, raw: event.raw.toString() })
    this.outputTokens += this.textTokens(event)
    if (this.passAll) return 'pass'
    if (data.startsWith('throw')) throw new Error('a reader must not, but does')
    if (data.startsWith('drop')) return 'drop'
    if (!data.startsWith('end')) return 'pass'
    this.finished = true
    return 'terminal'
  }

  onOversized(): void {
    this.events.push({ name: 'oversized', data: '', raw: '' })
  }

  textTokens(event: StreamEvent): number {
    const data = event.data.toString()
    return data.startsWith('text:') ? Number(data.slice(5)) : 0
  }

  cutEnding(): Buffer {
    return Buffer.from('')
  }

  errorEvent(): Buffer {
    return Buffer.from('')
  }
}
