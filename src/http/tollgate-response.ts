import { type IncomingMessage, ServerResponse } from 'node:http'
import type { UploadBudget } from './upload-budget.ts'

/** What a response tells the call it belongs to. */
export interface ResponseOwner {
  /** The socket took what was written: more may come. */
  onDrain(): void
  /** The response is over: whole, or because the caller hung up. */
  onClose(): void
}

/** A response that knows its call, so that its listeners are made once for the process and not for each call. */
export class TollgateResponse extends ServerResponse<IncomingMessage> {
  owner: ResponseOwner | undefined
  #uploadBytes = 0
  #budget: UploadBudget | undefined

  constructor(request: IncomingMessage) {
    super(request)
    // A write that comes too late is an error event, and one without a listener ends the process.
    this.on('error', ignore)
  }

  own(owner: ResponseOwner): void {
    this.owner = owner
    this.on('drain', onDrain)
    this.on('close', onClose)
  }

  /** Bytes of the request's body that stay in memory until this is over. False: there is no room for them. */
  keepUpload(budget: UploadBudget, bytes: number): boolean {
    if (!budget.take(bytes)) return false
    if (this.destroyed) {
      budget.giveBack(bytes)
      return true
    }
    if (this.#budget === undefined) this.on('close', dropUpload)
    this.#budget = budget
    this.#uploadBytes += bytes
    return true
  }

  dropUpload(): void {
    this.#budget?.giveBack(this.#uploadBytes)
    this.#uploadBytes = 0
  }
}

function dropUpload(this: TollgateResponse): void {
  this.dropUpload()
}

function ignore(): void {}

function onDrain(this: TollgateResponse): void {
  this.owner?.onDrain()
}

function onClose(this: TollgateResponse): void {
  this.owner?.onClose()
}
