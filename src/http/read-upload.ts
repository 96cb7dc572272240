/**
 * Reads an upload as it passes: where it is a file that a batch may be made of, its lines are summed up. It keeps one line
 * at a time; a file that is something else is let go at its first byte.
 */
import type { IncomingMessage } from 'node:http'
import { JsonLines } from '../meter/json-lines.ts'
import { BatchLines, ofLine } from '../providers/batch-call.ts'
import { type FormStream, formStream } from '../providers/multipart/form-stream.ts'
import { InvalidCall, type Provider, type ReadBatchLine } from '../providers/provider.ts'
import type { BatchFile } from './batch-files.ts'

/** Value of a form's field that is kept. */
const FIELD_BYTES_MAX = 256
const OPEN_BRACE = 0x7b

export interface UploadLimits {
  readonly batchLineBytes: number
  readonly jsonDepth: number
}

type ReadLine = (line: Buffer, jsonDepth: number) => ReadBatchLine

/** Undefined: the upstream's format has no batches of files, or the body is no form. */
export function readUpload(
  request: IncomingMessage,
  provider: Provider | undefined,
  limits: UploadLimits,
): UploadReading | undefined {
  const readLine = provider?.readBatchLine
  if (readLine === undefined || request.method !== 'POST') return undefined
  const reading = new UploadReading((line, depth) => readLine.call(provider, line, depth), limits)
  return reading.open(request.headers['content-type']) ? reading : undefined
}

export class UploadReading {
  readonly #readLine: ReadLine
  readonly #limits: UploadLimits
  readonly #lines: JsonLines
  #form: FormStream | undefined
  #batch = new BatchLines()
  #problem: string | undefined
  /** The file is of no lines that a batch could have. */
  #other = false
  #begun = false
  #number = 0
  #files = 0
  #part: 'file' | 'purpose' | 'other' = 'other'
  readonly #purposes: string[] = []

  constructor(readLine: ReadLine, limits: UploadLimits) {
    this.#readLine = readLine
    this.#limits = limits
    this.#lines = new JsonLines(
      {
        onLine: (line) => this.#line(line),
        onTooLong: () => this.#fail(`Line ${this.#number + 1} is longer than ${limits.batchLineBytes} bytes.`),
      },
      limits.batchLineBytes,
    )
  }

  open(contentType: string | undefined): boolean {
    this.#form = formStream(contentType, {
      onPart: (name, isFile) => this.#onPart(name, isFile),
      onBytes: (bytes) => this.#bytes(bytes),
      onPartEnd: () => {
        if (this.#part === 'file') this.#lines.end()
      },
    })
    return this.#form !== undefined
  }

  push(bytes: Buffer): void {
    this.#form?.push(bytes)
  }

  /** Undefined: no file that a batch could be made of. */
  get file(): BatchFile | undefined {
    const [purpose = '', ...more] = this.#purposes
    // Some providers want no purpose; said twice, it is not known which they take.
    if (!this.#form?.whole || this.#files !== 1 || more.length > 0 || (purpose !== 'batch' && purpose !== ''))
      return undefined
    if (this.#other) return purpose === 'batch' ? { problem: this.#problem ?? 'It has no lines.' } : undefined
    if (this.#problem !== undefined) return { problem: this.#problem }
    if (this.#number === 0) return { problem: 'It has no lines.' }
    return { summary: this.#batch.summary, objects: this.#batch.objects }
  }

  #onPart(name: string, isFile: boolean): boolean {
    this.#part = name === 'file' ? 'file' : name === 'purpose' && !isFile ? 'purpose' : 'other'
    if (this.#part === 'file') this.#files++
    if (this.#part === 'purpose') this.#purposes.push('')
    return this.#part !== 'other' && this.#files < 2
  }

  #bytes(bytes: Buffer): void {
    if (this.#part === 'purpose') {
      const value = (this.#purposes.pop() ?? '') + bytes.toString('latin1')
      this.#purposes.push(value.slice(0, FIELD_BYTES_MAX))
    } else if (!this.#other && this.#problem === undefined) this.#fileBytes(bytes)
  }

  #fileBytes(bytes: Buffer): void {
    if (!this.#begun) {
      const first = bytes.find((byte) => byte > 0x20)
      if (first === undefined) return
      this.#begun = true
      if (first !== OPEN_BRACE) {
        this.#other = true
        this.#problem = 'Line 1 is no JSON object.'
        return
      }
    }
    this.#lines.push(bytes)
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
