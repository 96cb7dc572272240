/** Reads, beside an answer that passes, which objects it made or took away, and records them before the answer ends. */
import type { Upstream } from '../config/snapshot.ts'
import { createDecoder, type Decoder } from '../meter/decode.ts'
import { JsonMeter } from '../meter/json-meter.ts'
import type { MadeObjects, OperationMatch } from '../providers/provider.ts'
import type { AnswerWatch } from '../proxy/passthrough.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { IncomingCall } from './read-call.ts'
import type { UploadReading } from './read-upload.ts'

/** Undefined: the answer changes nothing of who owns what. */
export function watchObjects(
  deps: CallDependencies,
  incoming: IncomingCall,
  upstream: Upstream,
  match: OperationMatch,
  upload?: UploadReading,
): AnswerWatch | undefined {
  const { objects: rules } = match.operation
  const deletes = rules?.deletes === true && match.objectId !== undefined
  if (rules?.makes === undefined && !deletes) return undefined
  return new ObjectWatch(deps, incoming, upstream, match, upload)
}

class ObjectWatch implements AnswerWatch {
  readonly #deps: CallDependencies
  readonly #incoming: IncomingCall
  readonly #upstream: Upstream
  readonly #makes: MadeObjects | undefined
  readonly #shownBy: string | undefined
  readonly #deleted: string | undefined
  readonly #upload: UploadReading | undefined
  readonly #meter: JsonMeter
  #decoder: Decoder | undefined
  #decoded: Promise<void> = Promise.resolve()
  #succeeded = false

  constructor(
    deps: CallDependencies,
    incoming: IncomingCall,
    upstream: Upstream,
    { operation, objectId }: OperationMatch,
    upload: UploadReading | undefined,
  ) {
    this.#deps = deps
    this.#incoming = incoming
    this.#upstream = upstream
    this.#makes = operation.objects?.makes
    this.#shownBy = objectId
    this.#deleted = operation.objects?.deletes ? objectId : undefined
    this.#upload = upload
    this.#meter = new JsonMeter(this.#makes?.members ?? [])
  }

  onHead(status: number, encoding: string | undefined): void {
    this.#succeeded = status >= 200 && status < 300
    if (this.#succeeded) this.#decoder = createDecoder(encoding, (bytes) => this.#meter.push(bytes))
  }

  onData(chunk: Buffer): void {
    if (!this.#succeeded) return
    const decoder = this.#decoder
    if (decoder === undefined) this.#meter.push(chunk)
    else this.#decoded = this.#decoded.then(() => decoder.write(chunk))
  }

  async end(): Promise<void> {
    if (!this.#succeeded) return
    await this.#decoded
    await this.#decoder?.end()
    const { objects, batchFiles, longCalls, log } = this.#deps
    const { account } = this.#incoming.key
    try {
      const answer = this.#meter.end()
      const made = this.#makes?.read(answer) ?? []
      const tokens = this.#makes?.tokens?.(answer) ?? 0
      await Promise.all(made.map((id) => objects.record(id, account.id, this.#upstream, tokens)))
      // What an object shows that is there already (a batch its results): a call that went on may have its end.
      if (this.#shownBy !== undefined && made.length > 0) longCalls.hurry(this.#upstream.name, this.#shownBy)
      await this.#upload?.taken(made)
      if (this.#deleted === undefined) return
      await objects.forget(this.#deleted, this.#upstream)
      await batchFiles.forget(this.#deleted, this.#upstream)
    } catch {
      log.warn(
        { request_id: this.#incoming.id, account: account.id, upstream: this.#upstream.name },
        'the owner of an object could not be recorded; it will answer to nobody',
      )
    }
  }
}
