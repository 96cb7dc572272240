/** The composed answers through the meters: what `npm test` always has. */

import { describe, expect, test } from 'vitest'
import { JsonMeter } from '../../src/meter/json-meter.ts'
import type { CallRequest, Metering } from '../../src/providers/provider.ts'
import { providers } from '../../src/providers/registry.ts'
import { NO_HEADERS, SOURCE } from '../support/call-source.ts'
import { COMPOSED, type Composed } from './composed.ts'
import { feed, inSteps } from './feed.ts'
import { testUpstream } from './recordings.ts'

function prepared(answer: Composed): { metering: Metering; call: CallRequest } {
  const metering = providers.get(answer.format)?.match('POST', answer.path)?.operation.metering
  if (!metering) throw new Error(`${answer.path} is not metered`)
  const body = Buffer.from(JSON.stringify(answer.request))
  const call = metering.readCall(body, SOURCE)
  metering.prepare(body, call, { outputLimit: undefined, upstream: testUpstream('https://api.openai.com/v1') })
  return { metering, call }
}

describe('a stream is metered and passed on', () => {
  test.each(COMPOSED.filter((answer) => answer.streaming).map((answer) => [answer.name, answer] as const))(
    '%s, cut at every byte',
    (_name, answer) => {
      const { metering, call } = prepared(answer)
      const body = Buffer.from(answer.body)
      for (let at = 0; at <= body.length; at++) {
        const fed = feed(metering, call, [body.subarray(0, at), body.subarray(at)])
        expect(fed.bytes.toString()).toBe(answer.passed ?? answer.body)
        expect(withoutRaw(fed.facts.usage)).toEqual(answer.usage)
        expect(fed.facts.providerId).toBe(answer.providerId)
      }
      expect(feed(metering, call, inSteps(body, 1)).bytes.toString()).toBe(answer.passed ?? answer.body)
    },
  )
})

describe('a JSON answer is metered', () => {
  test.each(COMPOSED.filter((answer) => !answer.streaming).map((answer) => [answer.name, answer] as const))(
    '%s, cut at every byte',
    (_name, answer) => {
      const { metering, call } = prepared(answer)
      const body = Buffer.from(answer.body)
      for (let at = 0; at <= body.length; at++) {
        const meter = new JsonMeter(metering.jsonMembers)
        meter.push(body.subarray(0, at))
        meter.push(body.subarray(at))
        const facts = metering.readJson(meter.end(), call, NO_HEADERS)
        expect(withoutRaw(facts.usage)).toEqual(answer.usage)
        expect(facts.providerId).toBe(answer.providerId)
        expect(meter.unread).toBe(false)
      }
    },
  )
})

function withoutRaw(usage: { readonly raw: unknown } | undefined): unknown {
  if (!usage) return undefined
  const { raw: _raw, ...rest } = usage
  return rest
}
