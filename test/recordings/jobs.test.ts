/** Runs of assistants as they were recorded when their callers looked at them. */
import { describe, expect, test } from 'vitest'
import { JsonMeter } from '../../src/meter/json-meter.ts'
import type { JobReader } from '../../src/providers/provider.ts'
import { providers } from '../../src/providers/registry.ts'
import { inSteps } from './feed.ts'
import { haveRecordings, inTheirTerms, loadRecordings, ofOurKinds, RECORDINGS_DIR, responseBody } from './recordings.ts'

if (!haveRecordings) console.warn(`no recordings at ${RECORDINGS_DIR}: looks at runs are not read`)

const looks = (await loadRecordings()).filter(
  ({ endpoint, request }) => endpoint === 'assistants.runs' && request.method === 'GET',
)
const reader = providers.get('openai')?.jobs?.find(({ name }) => name === 'run') as JobReader

describe.skipIf(!haveRecordings)('a look at a run says how it stands, and at its end what it used', () => {
  test.each(looks.map((recording) => [recording.id, recording] as const))('%s', (_id, recording) => {
    for (const step of [1, 1000]) {
      const meter = new JsonMeter(reader.members)
      for (const piece of inSteps(responseBody(recording), step)) meter.push(piece)
      const state = reader.read(meter.end(), {})
      const { tokens, model } = recording.expected
      if (!tokens) {
        expect(state).toEqual({ status: 'open' })
        continue
      }
      expect(state).toMatchObject({ status: 'ended', failed: false, facts: { model } })
      if (state.status !== 'ended') throw new Error('unreachable')
      expect(inTheirTerms(state.facts.usage, ofOurKinds(tokens))).toEqual(ofOurKinds(tokens))
    }
  })

  test('there are some of each', () => {
    expect(looks.filter(({ expected }) => expected.tokens).length).toBeGreaterThan(1)
    expect(looks.filter(({ expected }) => !expected.tokens).length).toBeGreaterThan(1)
  })
})
