/**
 * Reads the events of images as they are made: `image_generation.partial_image` and `.completed` (`image_edit.…`). Each
 * completed image states its own usage; the last one of those that were asked for ends the stream. Most are too large to
 * be kept: then usage is found in what stands behind the image.
 * Source: openai-node src/resources/images.ts, ImageGenStreamEvent, ImageEditStreamEvent.
 */
import { addUsage } from '../../core/add-usage.ts'
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject } from '../read-fields.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { completionErrorEvent } from './error-event.ts'
import { countedImages, type ImagesParsed, readImagesUsage, withImages } from './images-usage.ts'

const TYPE = /"type" ?: ?"(image_(?:generation|edit)\.[a-z_]+|error)"/
const HEAD_BYTES = 256
const TAIL_BYTES = 1024

export class ImagesStream implements StreamReader {
  failed = false
  unreadable = false
  oversizedEnd = false
  readonly endsByFraming = false
  readonly #parsed: ImagesParsed
  #usage: Usage | undefined
  #images = 0

  constructor(call: CallRequest) {
    this.#parsed = call.parsed as ImagesParsed
  }

  get finished(): boolean {
    return this.#images >= this.#parsed.images
  }

  /** An image is nothing that could be cut. */
  get outputTokens(): number {
    return 0
  }

  get facts(): AnswerFacts {
    return {
      usage: this.#usage && withImages(this.#usage, this.#images),
      counted: countedImages(this.#images, this.#parsed, null),
      model: undefined,
      providerId: undefined,
      serviceTier: undefined,
      storedId: undefined,
    }
  }

  textTokens(): number {
    return 0
  }

  onEvent(event: StreamEvent): EventVerdict {
    const type = event.name !== '' ? event.name : typeIn(event.data)
    if (type === 'error') this.failed = true
    if (type === '' || event.data[0] === 0x5b) return this.#other(event.data)
    if (!type.endsWith('.completed')) return 'pass'
    this.#complete(this.#parse(event.data))
    return this.finished ? 'terminal' : 'pass'
  }

  /** `[DONE]` of those who copy the API, or an error without a name. */
  #other(data: Buffer): EventVerdict {
    if (data.includes('"error"') && asObject(this.#parse(data))?.['error']) this.failed = true
    return 'pass'
  }

  #parse(data: Buffer): unknown {
    // What stands around the image is small: the image itself is not made into a string.
    try {
      return data.length > 64 * 1024 ? { usage: usageInTail(data) } : JSON.parse(data.toString())
    } catch {
      this.unreadable = true
      return undefined
    }
  }

  #complete(event: unknown): void {
    this.#images++
    const usage = readImagesUsage(asObject(event)?.['usage'])
    if (usage) this.#usage = this.#usage ? addUsage(this.#usage, usage) : usage
  }

  onOversized(head: Buffer, tail: Buffer): void {
    const start = head.toString('latin1', 0, HEAD_BYTES)
    const type = /^event: ?(\S+)/m.exec(start)?.[1] ?? TYPE.exec(start)?.[1] ?? typeIn(tail)
    if (!type.endsWith('.completed')) return
    this.#complete({ usage: usageInTail(tail) })
    this.oversizedEnd = this.finished
  }

  /** Never asked for: what such a call can come to is held whole. */
  cutEnding(): Buffer {
    return Buffer.alloc(0)
  }

  errorEvent(error: ErrorFacts): Buffer {
    return completionErrorEvent(error)
  }
}

/** Members come in any order: before the image, or behind it. */
function typeIn(data: Buffer): string {
  const behind = data.length > HEAD_BYTES ? data.toString('latin1', Math.max(HEAD_BYTES, data.length - TAIL_BYTES)) : ''
  return (TYPE.exec(data.toString('latin1', 0, HEAD_BYTES)) ?? TYPE.exec(behind))?.[1] ?? ''
}
