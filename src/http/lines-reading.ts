/**
 * Sums up the lines of a file as its bytes come, keeping one line at a time; a file that is something else is let go at
 * its first byte. It can be put down between two pieces of a file, and taken up again.
 */
import type { SavedSum } from '../core/batch-sum.ts'
import { JsonLines } from '../meter/json-lines.ts'
import { BatchLines, ofLine } from '../providers/batch-call.ts'
import { InvalidCall, type ReadBatchLine } from '../providers/provider.ts'
import type { BatchFile } from './batch-files.ts'

const OPEN_BRACE = 0x7b

export interface LineLimits {
  readonly batchLineBytes: number
  readonly jsonDepth: number
}

export type ReadLine = (line: Buffer, jsonDepth: number) => ReadBatchLine

/** As JSON. */
export interface SavedLines {
  readonly begun: boolean
  readonly other: boolean
  readonly problem: string | undefined
  readonly number: number
  readonly sum: SavedSum
  readonly objects: readonly string[]
  /** The beginning of a line, in base64. */
  readonly rest: string
}

export class LinesReading {
  readonly #readLine: ReadLine
  readonly #limits: LineLimits
  readonly #lines: JsonLines
  #batch: BatchLines
  #problem: string | undefined
  /** The file is of no lines that a batch could have. */
  #other: boolean
  #begun: boolean
  #number: number

  constructor(readLine: ReadLine, limits: LineLimits, saved?: SavedLines) {
    this.#readLine = readLine
    this.#limits = limits
    this.#batch = new BatchLines(saved)
    this.#problem = saved?.problem
    this.#other = saved?.other ?? false
    this.#begun = saved?.begun ?? false
    this.#number = saved?.number ?? 0
    this.#lines = new JsonLines(
      {
        onLine: (line) => this.#line(line),
        onTooLong: () => this.#fail(`Line ${this.#number + 1} is longer than ${limits.batchLineBytes} bytes.`),
      },
      limits.batchLineBytes,
    )
    if (saved) this.#lines.push(Buffer.from(saved.rest, 'base64'))
  }

  push(bytes: Buffer): void {
    if (this.#other || this.#problem !== undefined) return
    if (!this.#begun) {
      const first = bytes.find((byte) => byte > 0x20)
      if (first === undefined) return
      this.#begun = true
      if (first !== OPEN_BRACE) {
        this.#other = true
        return
      }
    }
    this.#lines.push(bytes)
  }

  /** The file has ended. */
  end(): void {
    this.#lines.end()
  }

  /** The first line is not even the beginning of a JSON object: it is a file of something else. */
  get isOther(): boolean {
    return this.#other || !this.#begun
  }

  get file(): BatchFile {
    if (this.#other) return { problem: 'Line 1 is no JSON object.' }
    if (this.#problem !== undefined) return { problem: this.#problem }
    if (this.#number === 0) return { problem: 'It has no lines.' }
    return { summary: this.#batch.summary, objects: this.#batch.objects }
  }

  get saved(): SavedLines {
    return {
      begun: this.#begun,
      other: this.#other,
      problem: this.#problem,
      number: this.#number,
      ...this.#batch.saved,
      rest: this.#lines.rest.toString('base64'),
    }
  }

  #line(line: Buffer): void {
    if (this.#problem !== undefined) return
    this.#number++
    try {
      this.#batch.add(this.#readLine(line, this.#limits.jsonDepth))
    } catch (error) {
      if (!(error instanceof InvalidCall)) throw error
      this.#fail((ofLine(error, this.#number) as Error).message)
    }
  }

  #fail(problem: string): void {
    this.#problem = problem
    this.#batch = new BatchLines()
  }
}
