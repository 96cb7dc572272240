/** Frames of Amazon's event stream as steps of a stream: strings of bytes, since steps are strings (see `binary` in call.ts). */
import { encodeFrame, eventFrame, exceptionFrame } from '../providers/event-frame.ts'

export const EVENT_STREAM = 'application/vnd.amazon.eventstream'
/** The real one pads each event, so that its length does not tell what a model says. */
const PADDING = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'

export function eventStep(type: string, payload: Readonly<Record<string, unknown>>): string {
  const length = 4 + ((JSON.stringify(payload).length * 7) % 57)
  return eventFrame(type, { ...payload, p: PADDING.slice(0, length) }).toString('latin1')
}

/** A chunk of `invoke-with-response-stream`: the model's own JSON in base64. */
export function chunkStep(value: unknown): string {
  return eventStep('chunk', { bytes: Buffer.from(JSON.stringify(value)).toString('base64') })
}

export function exceptionStep(type: string, message: string): string {
  return exceptionFrame(type, { message }).toString('latin1')
}

/** A whole frame whose payload is no JSON. */
export function brokenStep(type: string): string {
  const headers = { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' }
  return encodeFrame(headers, Buffer.from('{"broken":')).toString('latin1')
}
