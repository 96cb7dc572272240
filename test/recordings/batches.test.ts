/** Recorded batches: what was sent is read as lines, the job's states are told, and what their results used is the sum. */
import { describe, expect, test } from 'vitest'
import { UsageSum } from '../../src/core/usage-sum.ts'
import type { LongCall } from '../../src/jobs/long-call.ts'
import { InlineResults, readResults } from '../../src/jobs/read-results.ts'
import { JsonMeter } from '../../src/meter/json-meter.ts'
import type { JobReader, JobState, ResultReader } from '../../src/providers/provider.ts'
import { providers } from '../../src/providers/registry.ts'
import { inSteps } from './feed.ts'
import {
  answerHeadersOf,
  formatOf,
  haveRecordings,
  inTheirTerms,
  loadRecordings,
  matchOf,
  ofOurKinds,
  RECORDINGS_DIR,
  type Recording,
  requestOf,
  responseBody,
  sourceOf,
} from './recordings.ts'

if (!haveRecordings) console.warn(`no recordings at ${RECORDINGS_DIR}: batches are not read`)

const STEPS = [1, 7, 1000]
const recordings = await loadRecordings()
const named = (list: readonly Recording[]) => list.map((recording) => [recording.id, recording] as const)
const made = recordings.filter((recording) => matchOf(recording)?.operation.batch)
const results = recordings.filter(({ id, expected }) => /batches|files-content/.test(id) && expected.tokens)

function readerOf(recording: Recording, name?: string): JobReader {
  const { jobs = [] } = providers.get(formatOf(recording)) ?? {}
  const byName = { openai: 'batch', anthropic: 'message_batch', gemini: 'google_batch' } as const
  const wanted = name ?? byName[formatOf(recording) as keyof typeof byName]
  return jobs.find((job) => job.name === wanted) as JobReader
}

function callOf(reader: JobReader, path: string): LongCall {
  const job = { id: 'job', reader: reader.name, path, notes: {} }
  return { job, prices: [{ model: '', price: undefined, costScale: 9 }] } as unknown as LongCall
}

/** What the poller makes of the job's own object, which comes in pieces of `step` bytes. */
function look(reader: JobReader, recording: Recording, step: number) {
  const call = callOf(reader, recording.request.path)
  const meter = new JsonMeter(reader.members)
  const inline = new InlineResults(reader.results as ResultReader, call)
  for (const piece of inSteps(responseBody(recording), step)) {
    meter.push(piece)
    inline.push(piece)
  }
  return { call, state: reader.read(meter.end(), {}), inline }
}

describe.skipIf(!haveRecordings)('the results of a batch add up to what the provider billed', () => {
  test.each(named(results))('%s', async (_id, recording) => {
    const reader = readerOf(recording)
    const isResults = /results|content/.test(recording.endpoint)
    for (const step of STEPS) {
      const { call, state, inline } = isResults ? resultsOnly(reader, recording) : look(reader, recording, step)
      expect(state.status).toBe('results')
      if (state.status !== 'results') return
      const end = await readResults(call, reader.results as ResultReader, state, inline, async (_path, onBytes) => {
        for (const piece of inSteps(responseBody(recording), step)) onBytes(piece)
        return 200
      })
      if (end === undefined || end === 'open') throw new Error('no end')
      const sum = new UsageSum()
      for (const { usage } of end.used) sum.add(usage)
      const tokens = recording.expected.tokens ?? {}
      expect(inTheirTerms(sum.total(null), ofOurKinds(tokens))).toEqual(ofOurKinds(tokens))
      expect(end.unread).toBe(0)
      expect(end.results).toBeGreaterThan(0)
    }
  })

  test('there are some of each API', () => {
    const apis = new Set(results.map(({ provider }) => provider))
    if (!process.env['RECORDINGS'])
      expect([...apis].sort()).toEqual(['anthropic', 'gemini', 'mistral', 'openai', 'xai'])
  })
})

/** A job whose results are this recording. */
function resultsOnly(reader: JobReader, recording: Recording) {
  const form = recording.provider === 'xai' ? 'pages' : 'lines'
  const sources = () => [{ path: '/results', form }] as const
  const state: JobState = { status: 'results', sources, objectIds: [], raw: null }
  return { call: callOf(reader, '/job'), state: state as JobState, inline: undefined }
}

describe.skipIf(!haveRecordings)('a batch that was sent is read', () => {
  test.each(named(made))('%s', (_id, recording) => {
    const { batch, metering } = matchOf(recording)?.operation ?? {}
    const request = batch?.read(requestOf(recording).body as Buffer, sourceOf(recording))
    const inline = JSON.stringify(recording.request.body).includes('equests":[')
    if (inline) expect(request?.lines?.lines).toBeGreaterThan(0)
    for (const group of request?.lines?.groups ?? []) {
      expect(group.highTokens).toBeGreaterThanOrEqual(group.lowTokens)
      expect(group.lowTokens).toBeGreaterThan(0)
      expect(group.generates).toBe(true)
    }
    const members = new JsonMeter(metering?.jsonMembers ?? [])
    members.push(responseBody(recording))
    const call = { parsed: request?.parsed } as never
    const facts = metering?.readJson(members.end(), call, answerHeadersOf(recording))
    const { path } = recording.request
    expect(facts?.job?.pollPath(path)).toMatch(/^\/v1\w*\/(messages\/batches|batches|batch\/jobs)\/[\w-]+$/)
  })
})

describe.skipIf(!haveRecordings)('a look at a batch says how it stands', () => {
  const looks = recordings.filter(({ id, request }) => /batches-unary/.test(id) && request.method === 'GET')
  test.each(named(looks))('%s', (_id, recording) => {
    for (const step of STEPS) {
      const { state } = look(readerOf(recording), recording, step)
      const done =
        recording.expected.tokens !== null || /complet/.test(responseBody(recording).toString('utf8', 0, 400))
      expect(state.status).toBe(done ? 'results' : 'open')
    }
  })
})
