/** `webhooks` of entitlements.yaml: who is told of events. */
import * as z from 'zod'
import { EVENTS } from '../core/event-names.ts'
import { globMatches } from '../core/glob.ts'
import { FieldError, field, glob, httpUrl } from './fields.ts'
import { isLoopback } from './loopback.ts'
import { remedy } from './suggest.ts'

/** Each has a queue of its own in Redis, and connections of its own. */
export const RECEIVERS_MAX = 16
/** What Standard Webhooks asks for. */
const SECRET_BYTES = { least: 24, most: 64 }
const SECRET_PREFIX = 'whsec_'

const receiverUrl = field({ type: 'string' }, (value): string => {
  const read = httpUrl(false).safeParse(value)
  if (!read.success) throw new FieldError(read.error.issues[0]?.message ?? 'is no URL')
  const url = new URL(read.data)
  if (url.hash !== '') throw new FieldError('has a fragment; leave it out')
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw new FieldError('is http beyond this machine: anyone on the way could read the events; write https')
  }
  return url.href
})

/** `whsec_` and the bytes in base64. The value is never shown. */
const secret = field({ type: 'string' }, (value): string => {
  const remedyText = `write ${SECRET_PREFIX} and 24 to 64 random bytes in base64 ("echo ${SECRET_PREFIX}$(openssl rand -base64 32)" makes one)`
  if (typeof value !== 'string') throw new FieldError(`is no secret; ${remedyText}`)
  if (value === '') throw new FieldError(`is empty: events are never sent unsigned; ${remedyText}`)
  const bytes = bytesOfSecret(value)
  if (bytes === undefined) throw new FieldError(`is no secret; ${remedyText}`)
  if (bytes < SECRET_BYTES.least) throw new FieldError(`is too short, of ${bytes} bytes; ${remedyText}`)
  if (bytes > SECRET_BYTES.most) throw new FieldError(`is too long, of ${bytes} bytes; ${remedyText}`)
  return value
})

function bytesOfSecret(text: string): number | undefined {
  if (!text.startsWith(SECRET_PREFIX)) return undefined
  const base64 = text.slice(SECRET_PREFIX.length)
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0) return undefined
  return Buffer.from(base64, 'base64').length
}

const eventName = field({ type: 'string' }, (value): string => {
  if (typeof value !== 'string') throw new FieldError('%v is no event; write a name like wallet.low, or wallet.*')
  if (EVENTS.some((type) => globMatches(value, type))) return value
  throw new FieldError(`%v is no event${remedy(value, EVENTS, 'events')}`)
})

export const webhook = z.strictObject({
  url: receiverUrl.describe('where events are posted: https, or http on this machine'),
  secret: secret.describe('signs what is posted (Standard Webhooks): whsec_ and 24 to 64 bytes in base64'),
  events: z.array(eventName).describe('names of events it is told of, or patterns like wallet.*').prefault(['*']),
  accounts: z.array(glob()).describe('accounts whose events it is told of, as globs').prefault(['*']),
})

export const webhooks = z
  .array(webhook)
  .refine((list) => list.length <= RECEIVERS_MAX, `has more than ${RECEIVERS_MAX} receivers`)

export type WebhookFields = z.output<typeof webhook>
