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

/** A change of the secret needs two; each makes the header of every post longer. */
const SECRETS_MAX = 4

const secretJson = {
  anyOf: [
    { type: 'string' },
    { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: SECRETS_MAX, uniqueItems: true },
  ],
}

/** One or several, which all sign. The values are never shown. */
const secrets = field(secretJson, (value): readonly string[] => {
  if (!Array.isArray(value)) return [readSecret(value, '')]
  if (value.length === 0) throw new FieldError(`is empty: events are never sent unsigned; ${SECRET_REMEDY}`)
  if (value.length > SECRETS_MAX) throw new FieldError(`has more than ${SECRETS_MAX} secrets`)
  const read = value.map((item, i) => readSecret(item, `number ${i + 1} `))
  if (new Set(read).size < read.length) throw new FieldError('has a secret twice; write each once')
  return read
})

const SECRET_REMEDY = `write ${SECRET_PREFIX} and 24 to 64 random bytes in base64 ("echo ${SECRET_PREFIX}$(openssl rand -base64 32)" makes one)`

/** `whsec_` and the bytes in base64. `which`: of a list, for messages. */
function readSecret(value: unknown, which: string): string {
  if (typeof value !== 'string') throw new FieldError(`${which}is no secret; ${SECRET_REMEDY}`)
  if (value === '') throw new FieldError(`${which}is empty: events are never sent unsigned; ${SECRET_REMEDY}`)
  const bytes = bytesOfSecret(value)
  if (bytes === undefined) throw new FieldError(`${which}is no secret; ${SECRET_REMEDY}`)
  if (bytes < SECRET_BYTES.least) throw new FieldError(`${which}is too short, of ${bytes} bytes; ${SECRET_REMEDY}`)
  if (bytes > SECRET_BYTES.most) throw new FieldError(`${which}is too long, of ${bytes} bytes; ${SECRET_REMEDY}`)
  return value
}

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
  secret: secrets.describe(
    'signs what is posted (Standard Webhooks): whsec_ and 24 to 64 bytes in base64; a list: each of them signs, the first one first, until receivers have the new one',
  ),
  events: z.array(eventName).describe('names of events it is told of, or patterns like wallet.*').prefault(['*']),
  accounts: z.array(glob()).describe('accounts whose events it is told of, as globs').prefault(['*']),
})

export const webhooks = z
  .array(webhook)
  .refine((list) => list.length <= RECEIVERS_MAX, `has more than ${RECEIVERS_MAX} receivers`)

export type WebhookFields = z.output<typeof webhook>
