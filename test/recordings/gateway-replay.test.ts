/** Recorded provider traffic through the running gateway: the ledger has the stated usage, the caller the provider's bytes. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { entitlementsFor, startTestGateway, TEST_KEY, type TestGateway } from '../support/gateway.ts'
import { redisAvailable } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

interface Recording {
  readonly id: string
  readonly provider: string
  readonly endpoint: string
  readonly streamFormat: string | null
  readonly request: {
    readonly method: string
    readonly path: string
    readonly body?: unknown
    readonly headers: Record<string, string>
  }
  readonly response: { readonly status: number; readonly headers: Record<string, string>; readonly bodyBase64: string }
  readonly expected: {
    readonly tokens: Record<string, number> | null
    readonly ambiguous?: unknown
    readonly usageAbsent?: string
    readonly error?: unknown
  }
}

const folder = fileURLToPath(new URL('../../../shared/recordings', import.meta.url))
const available = existsSync(folder) && redisAvailable
if (!existsSync(folder)) console.warn('skipped: no folder ../shared/recordings beside the project')

const ENDPOINTS = new Set(['chat.completions', 'responses', 'completions', 'embeddings', 'messages'])
const recordings: Recording[] = available
  ? readdirSync(folder)
      .filter((file) => /^(openai|anthropic)-.*\.json$/.test(file))
      .map((file) => JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as Recording)
      .filter((recording) => ['openai', 'anthropic'].includes(recording.provider) && ENDPOINTS.has(recording.endpoint))
      .filter((recording) => recording.request.body !== null && typeof recording.request.body === 'object')
  : []

/** How the upstream cuts what it sends. */
const CUTS: Readonly<Record<string, (body: Buffer) => Buffer[]>> = {
  whole: (body) => [body],
  'in pieces of 1 to 40 bytes': (body) => {
    const pieces: Buffer[] = []
    let seed = body.length
    for (let at = 0; at < body.length; ) {
      seed = (seed * 1103515245 + 12345) % 2147483648
      const size = 1 + (seed % 40)
      pieces.push(body.subarray(at, at + size))
      at += size
    }
    return pieces
  },
}

let upstream: Server
let gateway: TestGateway
const byId = new Map(recordings.map((recording) => [recording.id, recording]))

/** Sends the recording that a header names, cut as another says. What it got is kept for the comparison. */
function replay(request: IncomingMessage, response: import('node:http').ServerResponse): void {
  const recording = byId.get(request.headers['x-recording'] as string) as Recording
  const body = Buffer.from(recording.response.bodyBase64, 'base64')
  request.resume()
  request.on('end', () => {
    response.writeHead(recording.response.status, recording.response.headers)
    const pieces = (CUTS[request.headers['x-cut'] as string] as (body: Buffer) => Buffer[])(body)
    const send = (index: number): void => {
      if (index === pieces.length) response.end()
      else
        response.write(pieces[index] as Buffer, () =>
          index % 50 === 49 ? setImmediate(send, index + 1) : send(index + 1),
        )
    }
    send(0)
  })
}

beforeAll(async () => {
  if (!available) return
  upstream = createServer(replay)
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  gateway = await startTestGateway({
    upstreams: `  openai: { format: openai, base_url: "${base}", api_key: k, models: ["*"] }\n  anthropic: { format: anthropic, base_url: "${base}", api_key: k, models: ["*"] }`,
    entitlements: entitlementsFor('on_exhausted: { mode: postpaid }'),
  })
}, 30_000)

afterAll(async () => {
  if (!available) return
  await gateway.close()
  upstream.close()
})

function send(
  recording: Recording,
  cut: string,
): Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }> {
  const { port } = new URL(gateway.url)
  const prefix = recording.request.path.startsWith('/v1') ? '' : '/v1'
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        port,
        method: recording.request.method,
        path: `/u/${recording.provider}${prefix}${recording.request.path}`,
        headers: {
          authorization: `Bearer ${TEST_KEY}`,
          'content-type': 'application/json',
          'accept-encoding': 'gzip, br',
          'x-recording': recording.id,
          'x-cut': cut,
        },
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
    request.end(JSON.stringify(recording.request.body))
  })
}

function decoded(recording: Recording): Buffer {
  const body = Buffer.from(recording.response.bodyBase64, 'base64')
  const encoding = recording.response.headers['content-encoding']
  return encoding === 'gzip' ? gunzipSync(body) : encoding === 'br' ? brotliDecompressSync(body) : body
}

/** The stream as the caller should get it: without the usage event, where the gateway asked for it and the caller had not. */
function expectedStream(recording: Recording): string {
  const text = decoded(recording).toString('latin1')
  const asked =
    (recording.request.body as { stream_options?: { include_usage?: boolean } }).stream_options?.include_usage === true
  if (asked || !['chat.completions', 'completions'].includes(recording.endpoint)) return text
  return text
    .split(/(?<=\n\n)/)
    .filter((event) => !(/"choices": ?\[\]/.test(event) && /"usage": ?\{/.test(event)))
    .join('')
}

async function settled(requestId: string): Promise<Record<string, unknown> | undefined> {
  return waitFor('the end in the ledger', async () => {
    const page = await gateway.wallet.ledger('acme', { afterSeq: 0, limit: 100_000, type: undefined })
    const end = page.find((entry) => entry.op === requestId && ['settle', 'void'].includes(entry.type))
    return end && { type: end.type, ...end.fields }
  })
}

function totals(tokens: Record<string, number>): Record<string, number> {
  const of = (...kinds: string[]): number => kinds.reduce((sum, kind) => sum + (tokens[kind] ?? 0), 0)
  return {
    input_total: of(
      'input',
      'cached_input',
      'cache_write_5m',
      'cache_write_1h',
      'audio_input',
      'cached_audio_input',
      'image_input',
      'video_input',
    ),
    input_cached_read: of('cached_input', 'cached_audio_input'),
    input_cache_write: of('cache_write_5m', 'cache_write_1h'),
    output_total: of('output', 'audio_output', 'image_output'),
    output_reasoning: of('reasoning'),
    input_audio: of('audio_input', 'cached_audio_input'),
    output_audio: of('audio_output'),
  }
}

interface Case {
  readonly recording: Recording | undefined
  readonly cut: string
  readonly name: string
}
const cases: Case[] = recordings.flatMap((recording) =>
  Object.keys(CUTS).map((cut) => ({ recording, cut, name: `${recording.id}, ${cut}` })),
)

test
  .skipIf(!available || cases.length === 0)
  .each(cases.length > 0 ? cases : [{ recording: undefined, cut: '', name: 'no recordings' }])(
  '$name',
  async ({ recording, cut }) => {
    const shown = recording as Recording
    const answer = await send(shown, cut)
    const requestId = answer.headers['x-tollgate-request-id'] as string
    expect(answer.status).toBe(shown.response.status)
    // A limit that no provider takes is refused before it is sent, as the provider would have.
    if (answer.headers['x-tollgate-error'] === 'invalid_request') return
    if (shown.streamFormat === 'sse' && shown.response.status === 200)
      expect(answer.body.toString('latin1')).toBe(expectedStream(shown))
    else expect(answer.body.equals(Buffer.from(shown.response.bodyBase64, 'base64'))).toBe(true)
    const end = await settled(requestId)
    const { tokens, ambiguous } = shown.expected
    if (ambiguous) return
    if (tokens === null) {
      if (shown.response.status >= 400) expect(end).toMatchObject({ type: 'void' })
      return
    }
    expect(end).toMatchObject({ type: 'settle', usage_source: 'provider' })
    const got = totals((end?.['tokens'] ?? {}) as Record<string, number>)
    for (const [kind, count] of Object.entries(tokens))
      if (kind in got && typeof count === 'number') expect([kind, got[kind]]).toEqual([kind, count])
  },
)
