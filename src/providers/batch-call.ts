/** What reading a batch has in common in every family: one line as a call, and the lines of a body summed up. */
import { BATCH_GROUPS_MAX, BatchSum, type BatchSummary, type SavedSum } from '../core/batch-sum.ts'
import { type JsonBody, readJsonBody } from './json-body.ts'
import { JsonElements } from './json-elements.ts'
import { PLAIN_CALL } from './plain-call.ts'
import { type CallRequest, InvalidCall, type ReadBatchLine } from './provider.ts'

/** Objects that the lines of one batch may name: each is looked up. */
export const BATCH_OBJECTS_MAX = 1_000

export interface SavedBatchLines {
  readonly sum: SavedSum
  readonly objects: readonly string[]
}

/** Sums up lines as they come, with the ids that they name. */
export class BatchLines {
  readonly #sum: BatchSum
  readonly #objects: Set<string>

  constructor(saved?: SavedBatchLines) {
    this.#sum = new BatchSum(saved?.sum)
    this.#objects = new Set(saved?.objects)
  }

  get saved(): SavedBatchLines {
    return { sum: this.#sum.saved, objects: this.objects }
  }

  get summary(): BatchSummary {
    return this.#sum.summary
  }

  get objects(): readonly string[] {
    return [...this.#objects]
  }

  /** Throws InvalidCall where the batch is of too many kinds, or names too much. */
  add(line: ReadBatchLine): void {
    if (!this.#sum.add(line))
      throw new InvalidCall(
        `The lines are of more than ${BATCH_GROUPS_MAX} kinds (models, endpoints, lengths); split the batch.`,
      )
    for (const id of line.objects) this.#objects.add(id)
    if (this.#objects.size > BATCH_OBJECTS_MAX)
      throw new InvalidCall(`The lines name more than ${BATCH_OBJECTS_MAX} objects at the provider; split the batch.`)
  }
}

/** The same of a body that holds its lines in the array at `path`. Throws InvalidCall, naming the line. */
export function readInlineLines(
  body: Buffer,
  path: string | readonly string[],
  readLine: (line: Buffer) => ReadBatchLine,
): BatchLines {
  const lines = new BatchLines()
  let pieces: Buffer[] = []
  let number = 0
  const elements = new JsonElements(typeof path === 'string' ? [path] : path, {
    onStart: () => {
      pieces = []
    },
    onBytes: (bytes) => pieces.push(bytes),
    onEnd: () => {
      number++
      try {
        lines.add(readLine(Buffer.concat(pieces)))
      } catch (error) {
        throw ofLine(error, number)
      }
    },
  })
  elements.push(body)
  return lines
}

/** A problem of one line, with its number in front. */
export function ofLine(error: unknown, number: number): unknown {
  return error instanceof InvalidCall ? new InvalidCall(`Line ${number}: ${error.message}`, error.field) : error
}

/** A member that is an object: its own bytes. Throws InvalidCall. */
export function memberBytes(raw: Buffer, body: JsonBody, name: string): Buffer {
  const span = body.members.get(name)
  const bytes = span && raw.subarray(span.valueStart, span.valueEnd)
  if (bytes?.[0] !== 0x7b) throw new InvalidCall(`"${name}" must be an object.`, name)
  return bytes
}

/** A member that is an object, read as strictly as a body of its own. */
export function readMember(
  raw: Buffer,
  body: JsonBody,
  name: string,
  jsonDepth: number,
): JsonBody & { readonly raw: Buffer } {
  const bytes = memberBytes(raw, body, name)
  return { ...readJsonBody(bytes, jsonDepth), raw: bytes }
}

/** The call that a batch itself is: what is in it is held apart. */
export function batchCall(
  model: string,
  summary: BatchSummary,
  objects: readonly string[],
  parsed: unknown,
): CallRequest {
  const sum = (of: (group: BatchSummary['groups'][number]) => number): number =>
    summary.groups.reduce((total, group) => Math.min(total + of(group), Number.MAX_SAFE_INTEGER), 0)
  return {
    ...PLAIN_CALL,
    model,
    input: {
      highTokens: sum(({ highTokens }) => highTokens),
      lowTokens: sum(({ lowTokens }) => lowTokens),
      cacheWriteTokens: 0,
      cacheWriteKind: 'cache_write_5m',
    },
    goesOn: true,
    objects,
    parsed,
  }
}
