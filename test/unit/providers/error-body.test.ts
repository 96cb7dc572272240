import { describe, expect, test } from 'vitest'
import { errorFacts } from '../../../src/errors.ts'
import { providers } from '../../../src/providers/registry.ts'

const FACTS = errorFacts('insufficient_funds', 'This call may cost up to 0.5 USD; 0.1 are available.', 'req_9', {
  rule: 'funds',
  needed: '0.5',
  available: '0.1',
  unit: 'USD',
  topUpUrl: 'https://example.com/billing',
  param: 'max_tokens',
})
const TOLLGATE = {
  code: 'insufficient_funds',
  rule: 'funds',
  needed: '0.5',
  available: '0.1',
  unit: 'USD',
  resets_at: null,
  top_up_url: 'https://example.com/billing',
  request_id: 'req_9',
}

describe("a refusal has the shape of the client's own API", () => {
  test('openai', () => {
    const { contentType, body } = providers.get('openai')?.errorBody(FACTS) ?? {}
    expect(contentType).toBe('application/json')
    expect(JSON.parse(body ?? '')).toEqual({
      error: {
        message: FACTS.message,
        type: 'insufficient_quota',
        param: 'max_tokens',
        code: 'insufficient_funds',
        tollgate: TOLLGATE,
      },
    })
  })

  test('anthropic', () => {
    const { body } = providers.get('anthropic')?.errorBody(FACTS) ?? {}
    expect(JSON.parse(body ?? '')).toEqual({
      type: 'error',
      error: { type: 'billing_error', message: FACTS.message, tollgate: TOLLGATE },
      request_id: 'req_9',
    })
  })
})
