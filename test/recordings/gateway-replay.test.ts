/**
 * Recorded provider traffic through the running gateway: the ledger has the stated usage and what it costs, errors and
 * free calls charge nothing, and the caller gets the provider's bytes, however they were cut.
 *
 * RECORDINGS=bedrock,cohere runs those providers alone; RECORDINGS_SEED=… repeats a run's cuts.
 */

import dns from 'node:dns'
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { formatAmount } from '../../src/core/money.ts'
import type { LedgerEntry } from '../../src/wallet/wallet-types.ts'
import { entitlementsFor, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { asPassed } from './as-passed.ts'
import { CUTS, type Cut } from './cuts.ts'
import {
  formatOf,
  haveRecordings,
  inTheirTerms,
  loadRecordings,
  matchOf,
  ofOurKinds,
  type Recording,
  requestOf,
  unitsOf,
} from './recordings.ts'
import { type ReplayUpstream, startReplayUpstream } from './replay-upstream.ts'

/** Recordings that cannot be held to the rules below, and why. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'gemini-interactions-unary-01': 'a background call, whose end is not recorded',
  'openai-assistants-runs-unary-04': 'a run that has just begun, whose end is not recorded',
  'openai-batches-unary-01':
    'the file of the batch is not recorded: no line of it was seen, so that the batch is refused',
  'anthropic messages.batches': 'a batch that has just begun, whose end is not recorded',
  'gemini batchGenerateContent': 'a batch that has just begun, whose end is not recorded',
  'mistral-batches-unary-01': 'a batch that has just begun, whose end is not recorded',
  'xai-batches-unary-02': 'a batch that has just begun, whose end is not recorded',
  'bedrock guardrail.apply': 'unmetered: AWS bills its text units, which nothing here counts',
  'writer-chat-unary-05': 'its request was written by hand and is no JSON',
}
/** An error inside a 200 that states nothing costs nothing. */
const FAILED_INSIDE = new Set(['hf-tgi-generate-stream-01', 'hf-tgi-generate-stream-04'])

/** `provider endpoint` whose paths are not known: held to the rules below as soon as they are. */
const NOT_YET: Readonly<Record<string, string>> = {
  'bedrock-agent invokeAgent': 'states nothing: its models are called and billed behind it',
  'bedrock-agent retrieve': 'a search without a model',
  'bedrock-agent retrieveAndGenerate': 'states nothing: its models are called and billed behind it',
  'bedrock-agent retrieveAndGenerateStream': 'states nothing: its models are called and billed behind it',
  'replicate predictions': 'states nothing that could be counted: passes only as an unmetered path',
}

const SEED = Number(process.env['RECORDINGS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const AT_ONCE = 8
/** Streams up to this size are also sent byte by byte, one of each provider and endpoint. */
const BYTE_BY_BYTE_MAX = 6_000

const available = haveRecordings && redisAvailable
if (!haveRecordings) console.warn('skipped: no folder ../shared/recordings beside the project')
const recordings = available ? await loadRecordings() : []
const kindOf = ({ provider, endpoint }: Recording): string => `${provider} ${endpoint}`
const exceptionOf = (recording: Recording): string | undefined =>
  EXCEPTIONS[recording.id] ??
  EXCEPTIONS[kindOf(recording)] ??
  (matchOf(recording) === undefined ? NOT_YET[kindOf(recording)] : undefined)

interface Case {
  readonly recording: Recording
  readonly cut: Cut
  readonly name: string
}

interface Exchange {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

function casesOf(): Case[] {
  const sampled = new Set<string>()
  return recordings.flatMap((recording) => {
    const kind = kindOf(recording)
    const small = recording.streaming && recording.response.bodyBase64.length < BYTE_BY_BYTE_MAX && !sampled.has(kind)
    if (small) sampled.add(kind)
    return CUTS.filter((cut) => cut !== 'byte by byte' || small).map((cut) => ({
      recording,
      cut,
      name: `${recording.id}, ${cut}`,
    }))
  })
}

/** Every kind has a rate, and the totals can be read off the charge. */
const PRICES = `
  - match: { model: "*" }
    from: 2020-01-01
    per_million:
${[
  'input',
  'cached_input',
  'cache_write_5m',
  'cache_write_1h',
  'audio_input',
  'cached_audio_input',
  'image_input',
  'video_input',
]
  .map((kind) => `      ${kind}: "1"`)
  .join('\n')}
${['output', 'audio_output', 'image_output'].map((kind) => `      ${kind}: "1000"`).join('\n')}
    per_unit: { images: "1", seconds: "1", characters: "1", searches: "1", web_search: "0" }
    context_window: 1000000
    max_output_tokens: 100000
`

const UNMETERED = [
  'GET /**',
  'DELETE /**',
  'POST /v1/files',
  'POST /upload/**',
  'POST /**/cachedContents',
  'POST /**/guardrail/**',
]

const cases = casesOf()
const results = new Map<string, Exchange>()
const ends = new Map<string, LedgerEntry>()
let upstream: ReplayUpstream
let gateway: TestGateway

beforeAll(async () => {
  if (cases.length === 0) return
  console.info(`recordings: ${recordings.length}, exchanges: ${cases.length}, seed ${SEED}`)
  upstream = await startReplayUpstream(recordings, SEED)
  // Hosts stay the providers' own, since some decide how a call is edited; all of them are here.
  vi.spyOn(dns, 'lookup').mockImplementation(lookUpHere as never)
  gateway = await startTestGateway({
    upstreams: upstreams(upstream.port),
    entitlements: entitlementsFor('on_exhausted: { mode: postpaid }'),
    prices: PRICES,
    settings: `metering: { unmetered_paths: ${JSON.stringify(UNMETERED)} }`,
  })
  await exchangeAll()
  await readLedger()
}, 240_000)

afterAll(async () => {
  await gateway?.close()
  upstream?.close()
  vi.restoreAllMocks()
})

function lookUpHere(_host: string, options: { all?: boolean }, done: (...args: unknown[]) => void): void {
  process.nextTick(() => (options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)))
}

function upstreams(port: number): string {
  const first = new Map(recordings.map((recording) => [recording.provider, recording]))
  return [...first.values()]
    .map((recording) => {
      const host = recording.request.host.split(':')[0]
      const fields = `format: ${formatOf(recording)}, base_url: "http://${host}:${port}", api_key: k, shared: true`
      return `  ${recording.provider}: { ${fields}, auth: bearer, models: ["*"] }`
    })
    .join('\n')
}

async function exchangeAll(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  const left = cases.values()
  const work = async (): Promise<void> => {
    for (const one of left) results.set(one.name, await exchange(one, agent))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  agent.destroy()
}

function exchange({ recording, cut }: Case, agent: Agent): Promise<Exchange> {
  const { headers, body } = requestOf(recording)
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        agent,
        port: new URL(gateway.url).port,
        method: recording.request.method,
        path: `/u/${recording.provider}${recording.request.path}`,
        headers: { ...headers, authorization: `Bearer ${TEST_KEY}`, 'x-recording': recording.id, 'x-cut': cut },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
        )
        response.on('error', reject)
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

/** Waits until each call that was held has its end; what an exception left open goes on. */
async function readLedger(): Promise<void> {
  let afterSeq = 0
  const open = new Map<string, string>()
  const names = new Map(usual.map(({ name }) => [results.get(name)?.headers['x-tollgate-request-id'], name]))
  const read = async (): Promise<boolean> => {
    for (;;) {
      const page = await gateway.wallet.ledger('acme', { afterSeq, limit: 1000, type: undefined })
      for (const entry of page) {
        afterSeq = entry.seq
        const name = names.get(entry.op)
        if (entry.type === 'hold' && name !== undefined) open.set(entry.op, name)
        if (entry.type === 'settle' || entry.type === 'void') {
          ends.set(entry.op, entry)
          open.delete(entry.op)
        }
      }
      if (page.length < 1000) return open.size === 0
    }
  }
  await waitFor('an end of each hold in the ledger', read).catch((error: unknown) => {
    throw new Error(`without an end: ${[...open.values()].join('; ')}`, { cause: error })
  })
}

function endOf(one: Case): LedgerEntry | undefined {
  return ends.get(results.get(one.name)?.headers['x-tollgate-request-id'] as string)
}

interface Settlement {
  readonly tokens?: Readonly<Record<string, number>>
  readonly units?: Readonly<Record<string, number>>
  readonly usage_source: string
  readonly usage_flags?: readonly string[]
  readonly unpriced_kinds?: readonly string[]
  readonly charged: string
}

function settlementOf(one: Case): Settlement {
  const end = endOf(one)
  expect(end?.type).toBe('settle')
  return end?.fields as unknown as Settlement
}

const named = (list: readonly Case[]): (readonly [string, Case | undefined])[] =>
  list.length > 0 ? list.map((one) => [one.name, one] as const) : [['none', undefined]]
const usual = cases.filter(({ recording }) => exceptionOf(recording) === undefined)
const metered = usual.filter(({ recording }) => matchOf(recording)?.operation.kind === 'metered')
const isFree = ({ request, expected }: Recording): boolean =>
  request.method !== 'POST' || ['error', 'count-only', 'not-a-billed-call'].includes(expected.usageAbsent ?? '')
/** Refused before it is sent, as the provider refused it. */
const isOurRefusal = (one: Case): boolean =>
  one.recording.response.status >= 400 && results.get(one.name)?.headers['x-tollgate-error'] === 'invalid_request'

describe.skipIf(cases.length === 0)('recorded traffic through the gateway', () => {
  describe('the caller gets the status and the bytes of the provider', () => {
    test.each(named(usual))('%s', (_name, one) => {
      if (!one) return
      const answer = results.get(one.name) as Exchange
      if (isOurRefusal(one)) return
      expect([answer.headers['x-tollgate-error'], answer.status]).toEqual([undefined, one.recording.response.status])
      const { passed, endsWithError } = asPassed(one.recording)
      if (endsWithError) {
        expect(answer.body.subarray(0, passed.length).equals(passed)).toBe(true)
        expect(answer.body.subarray(passed.length).toString()).toContain('broke off')
      } else if (!answer.body.equals(passed)) expect(answer.body.toString('latin1')).toBe(passed.toString('latin1'))
    })
  })

  describe('tokens and counted things are those that the provider billed, and are charged as they are priced', () => {
    const stated = metered.filter(({ recording }) => recording.expected.tokens && !recording.expected.ambiguous)
    test.each(named(stated))('%s', (_name, one) => {
      if (!one) return
      const { recording } = one
      const { tokens = {}, units = {}, usage_source, charged, unpriced_kinds } = settlementOf(one)
      const { reasoning = 0, ...kinds } = tokens
      const theirs = ofOurKinds(recording.expected.tokens ?? {})
      expect(inTheirTerms({ tokens: kinds, reasoning }, theirs)).toEqual(theirs)
      expect(usage_source).toBe('provider')
      expect(units).toMatchObject(unitsOf(recording))
      // The prices here have no tiers; every kind has its rate.
      expect((unpriced_kinds ?? []).filter((kind) => !kind.startsWith('tier:'))).toEqual([])
      const pieces = Object.entries(units).reduce((sum, [kind, count]) => sum + (kind === 'web_search' ? 0 : count), 0)
      const atoms = (theirs['input_total'] ?? 0) * 1_000 + (theirs['output_total'] ?? 0) * 1_000_000
      expect(charged).toBe(formatAmount(BigInt(atoms + Math.round(pieces * 1e9)), 9))
    })
  })

  describe('what is billed by the piece is counted', () => {
    const units = metered.filter(({ recording }) => recording.expected.usageAbsent === 'units-only')
    test.each(named(units))('%s', (_name, one) => {
      if (!one) return
      expect(settlementOf(one).units ?? {}).toMatchObject(unitsOf(one.recording))
    })
  })

  describe('where the provider states nothing, or contradicts itself, something is charged, and the entry says so', () => {
    const unsure = metered.filter(
      ({ recording }) =>
        recording.expected.ambiguous ||
        ['not-stated-by-provider', 'stream-without-usage'].includes(recording.expected.usageAbsent ?? ''),
    )
    test.each(named(unsure))('%s', (_name, one) => {
      if (!one) return
      if (FAILED_INSIDE.has(one.recording.id)) {
        expect(endOf(one)?.type).toBe('void')
        return
      }
      const { usage_source, usage_flags = [] } = settlementOf(one)
      if (one.recording.expected.ambiguous) expect([usage_source, usage_flags.length > 0]).toEqual(['provider', true])
      else expect(usage_source).toBe('estimate')
    })
  })

  describe('errors, free calls and reading again what was charged before are not charged', () => {
    const free = usual.filter(({ recording }) => isFree(recording))
    test.each(named(free))('%s', (_name, one) => {
      if (!one) return
      expect(endOf(one)?.type ?? 'void').toBe('void')
    })
  })

  test('every recording is in one of these groups, or an exception with its reason', () => {
    const grouped = new Set(
      usual
        .filter(({ recording }) => isFree(recording) || matchOf(recording)?.operation.metering)
        .map(({ recording }) => recording.id),
    )
    const left = recordings.filter((recording) => !grouped.has(recording.id) && exceptionOf(recording) === undefined)
    expect(left.map((recording) => recording.id)).toEqual([])
    const known = new Set(recordings.flatMap((recording) => [recording.id, kindOf(recording)]))
    if (process.env['RECORDINGS']) return
    expect(Object.keys(EXCEPTIONS).filter((name) => !known.has(name))).toEqual([])
    const unknown = new Set(recordings.filter((recording) => matchOf(recording) === undefined).map(kindOf))
    expect(
      Object.keys(NOT_YET).filter((name) => !unknown.has(name)),
      'in NOT_YET, and known here by now',
    ).toEqual([])
  })
})
