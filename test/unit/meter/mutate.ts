/** Changes JSON texts and bytes as nobody would: other values where numbers stand, members twice, halves, flipped bytes. */
import { encodeFrame } from '../../../src/providers/event-frame.ts'
import type { Framing } from '../../../src/providers/provider.ts'
import type { Random } from '../../model/random.ts'
import type { Seed } from './fuzz-events.ts'

const DEEP = `${'{"a":['.repeat(200)}1${']}'.repeat(200)}`
const ABSURD = [
  '-5',
  '-0',
  '0',
  '1e308',
  '1e400',
  '1.5',
  '0.1e-7',
  '9007199254740993',
  '"12"',
  '"NaN"',
  'null',
  'true',
  'NaN',
  '[]',
  '{}',
  '[1,2]',
  '{"a":1}',
  '""',
  DEEP,
]

export function mutateJson(json: string, random: Random): string {
  let text = json
  for (let times = random.below(4); times > 0; times--) text = mutateOnce(text, random)
  return text
}

function mutateOnce(text: string, random: Random): string {
  switch (random.below(7)) {
    case 0:
    case 1:
      return replaceOne(text, /(?<=[:,[])-?\d+(?:\.\d+)?/g, random.pick(ABSURD), random)
    case 2:
      return replaceOne(text, /(?<=":)(?:"[^"]*"|\{[^{}]*\}|\[[^[\]]*\])/g, random.pick(ABSURD), random)
    case 3:
      return twice(text, random)
    case 4: {
      const at = random.below(text.length + 1)
      return random.chance(0.5) ? text.slice(0, at) : text.slice(at)
    }
    case 5:
      return replaceOne(text, /"\w+":/g, '"usage":', random)
    default: {
      const at = random.below(text.length + 1)
      return (
        text.slice(0, at) +
        random.pick(['"', '\\', '{', '}', '[', ']', ',', '\n', '\r', '\u0000', 'é☕']) +
        text.slice(at)
      )
    }
  }
}

function replaceOne(text: string, pattern: RegExp, value: string, random: Random): string {
  const found = [...text.matchAll(pattern)]
  if (found.length === 0) return text
  const match = random.pick(found)
  return text.slice(0, match.index) + value + text.slice(match.index + match[0].length)
}

/** A member once more, before or after, or in another place. */
function twice(text: string, random: Random): string {
  const members = [...text.matchAll(/"\w+":(?:-?\d+|"[^"]*"|\{[^{}]*\})/g)]
  const opens = [...text.matchAll(/\{/g)]
  if (members.length === 0 || opens.length === 0) return text
  const at = random.pick(opens).index + 1
  return `${text.slice(0, at)}${random.pick(members)[0]},${text.slice(at)}`
}

/** The events as one stream, with what stands between them varied. */
export function toStream(events: readonly Seed[], framing: Framing, random: Random): Buffer {
  switch (framing) {
    case 'sse': {
      const end = random.pick(['\n', '\n', '\r\n', '\r'])
      const event = ([name, json]: Seed): string => {
        const colon = random.chance(0.9) ? ': ' : ':'
        const head = name !== '' || random.chance(0.05) ? `event${colon}${name}${end}` : ''
        const comment = random.chance(0.05) ? `: ping${end}${end}` : ''
        return `${comment}${head}data${colon}${json}${end}${end}`
      }
      return Buffer.from(events.map(event).join(''))
    }
    case 'ndjson':
      return Buffer.from(events.map(([, json]) => `${json}${random.pick(['\n', '\n', '\r\n', '\n\n'])}`).join(''))
    case 'json_array': {
      const elements = events.map(([, json]) => json)
      return Buffer.from(`[${elements.join(random.pick([',', '\n,\r\n', ' , ']))}${random.pick([']', '\n]\n', ''])}`)
    }
    case 'aws_eventstream':
      return Buffer.concat(events.map((event) => frame(event, random)))
  }
}

function frame([name, json]: Seed, random: Random): Buffer {
  const [kind, type] = name.startsWith('exception:') ? ['exception', name.slice(10)] : ['event', name]
  const bytes = encodeFrame({ [`:${kind}-type`]: type, ':message-type': kind }, Buffer.from(json))
  if (random.chance(0.03)) bytes[random.below(bytes.length)] = random.below(256)
  return bytes
}

/** Bytes flipped, taken out, put in or repeated. */
export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  if (bytes.length === 0 || random.chance(0.7)) return bytes
  const at = random.below(bytes.length)
  switch (random.below(4)) {
    case 0: {
      const copy = Buffer.from(bytes)
      copy[at] = random.below(256)
      return copy
    }
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random.below(40)))])
    case 2:
      return bytes.subarray(0, at)
    default:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.below(at + 1))])
  }
}

export function cutAtRandom(bytes: Buffer, random: Random): Buffer[] {
  const most = random.pick([1, 3, 16, 100, 1000])
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.below(most)
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}
