/** Reads an upload as it passes: where it is a file that a batch may be made of, its lines are summed up. */
import type { IncomingMessage } from 'node:http'
import type { Upstream } from '../config/snapshot.ts'
import { type FormStream, formStream } from '../providers/multipart/form-stream.ts'
import type { Provider, UploadStep } from '../providers/provider.ts'
import type { BatchFile, BatchFiles } from './batch-files.ts'
import { type LineLimits, LinesReading, type ReadLine } from './lines-reading.ts'

/** Value of a form's field that is kept. */
const FIELD_BYTES_MAX = 256

export interface UploadReading {
  push(bytes: Buffer): void
  /** The upstream took what passed, and made the files of these ids. Throws WalletUnavailable. */
  taken(made: readonly string[]): Promise<void>
}

export interface UploadContext {
  readonly batchFiles: BatchFiles
  readonly upstream: Pick<Upstream, 'name'>
  readonly limits: LineLimits
}

/**
 * Undefined: the upstream's format has no batches of files, or this is no upload of a file's bytes. Throws
 * WalletUnavailable, where what passed before cannot be had.
 */
export async function readUpload(
  request: IncomingMessage,
  query: string,
  provider: Provider | undefined,
  context: UploadContext,
): Promise<UploadReading | undefined> {
  const readBatchLine = provider?.readBatchLine
  if (readBatchLine === undefined) return undefined
  const readLine: ReadLine = (line, depth) => readBatchLine.call(provider, line, depth)
  const step = provider?.readUploadStep?.(query, request.headers)
  if (step) return readPiece(step, readLine, context)
  if (request.method !== 'POST') return undefined
  const reading = new FormReading(new LinesReading(readLine, context.limits), context)
  return reading.open(request.headers['content-type']) ? reading : undefined
}

class FormReading implements UploadReading {
  readonly #lines: LinesReading
  readonly #context: UploadContext
  #form: FormStream | undefined
  #files = 0
  #part: 'file' | 'purpose' | 'other' = 'other'
  readonly #purposes: string[] = []

  constructor(lines: LinesReading, context: UploadContext) {
    this.#lines = lines
    this.#context = context
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

  async taken(made: readonly string[]): Promise<void> {
    const { batchFiles, upstream } = this.#context
    const { file } = this
    if (file !== undefined) await Promise.all(made.map((id) => batchFiles.keep(id, upstream, file)))
  }

  /** Undefined: no file that a batch could be made of. */
  get file(): BatchFile | undefined {
    const [purpose = '', ...more] = this.#purposes
    // Some providers want no purpose; said twice, it is not known which they take.
    if (!this.#form?.whole || this.#files !== 1 || more.length > 0 || (purpose !== 'batch' && purpose !== ''))
      return undefined
    return this.#lines.isOther && purpose !== 'batch' ? undefined : this.#lines.file
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
    } else this.#lines.push(bytes)
  }
}

/** A file that comes in several requests is put down between them: any gateway may get the next one. */
async function readPiece(
  { id, offset, last }: UploadStep,
  readLine: ReadLine,
  context: UploadContext,
): Promise<UploadReading | undefined> {
  const { batchFiles, upstream, limits } = context
  const before = id === undefined || offset === 0 ? undefined : await batchFiles.findPiece(id, upstream)
  // Bytes that did not pass here: nothing can be made of the file.
  if (offset > 0 && before?.offset !== offset) return undefined
  const lines = new LinesReading(readLine, limits, before?.lines)
  let at = offset
  return {
    push: (bytes) => {
      at += bytes.length
      lines.push(bytes)
    },
    taken: async (made) => {
      if (last) {
        lines.end()
        if (!lines.isOther) await Promise.all(made.map((file) => batchFiles.keep(file, upstream, lines.file)))
      } else if (id !== undefined) await batchFiles.keepPiece(id, upstream, { offset: at, lines: lines.saved })
    },
  }
}
