/** A frame of `invoke-with-response-stream` carries the model's own JSON as base64: `{"bytes":"…","p":"…"}`. */
import { eventFrame } from '../event-frame.ts'
import { JsonCursor } from '../json-cursor.ts'
import type { StreamEvent } from '../provider.ts'

const BYTES = Buffer.from('bytes')
const EMPTY = Buffer.alloc(0)

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()

export class ChunkPayload {
  #of: Buffer | undefined
  #payload: Buffer = EMPTY

  /** The JSON inside, decoded once though the same event is looked at twice; empty for a frame of another kind. */
  read(event: StreamEvent): Buffer {
    if (event.data !== this.#of) {
      this.#of = event.data
      this.#payload = event.name === 'chunk' || event.name === '' ? decode(event.data) : EMPTY
    }
    return this.#payload
  }
}

export function chunkFrame(value: unknown): Buffer {
  return eventFrame('chunk', { bytes: Buffer.from(JSON.stringify(value)).toString('base64') })
}

/** An exception or an error in place of a chunk. */
export function isFailure(event: StreamEvent): boolean {
  return event.name.startsWith('exception:') || event.name.startsWith('error:')
}

function decode(data: Buffer): Buffer {
  cursor.open(data)
  while (cursor.next())
    if (cursor.depth === 1 && cursor.isString && cursor.keyIs(BYTES))
      return Buffer.from(data.toString('latin1', cursor.valueStart, cursor.valueEnd), 'base64')
  return EMPTY
}
