import { expect, test } from 'vitest'
import type { Upstream } from '../../../src/config/snapshot.ts'
import { callerResponseHeaders, upstreamRequestHeaders } from '../../../src/proxy/headers.ts'
import { targetPath } from '../../../src/proxy/upstream.ts'

function upstream(baseUrl: string, change: Partial<Upstream> = {}): Upstream {
  return { baseUrl: new URL(baseUrl), auth: 'bearer', apiKey: 'sk-own', headers: {}, ...change } as Upstream
}

test.each([
  ['https://api.openai.com/v1', '/v1/chat/completions', '/v1/chat/completions'],
  ['https://api.openai.com', '/v1/chat/completions', '/v1/chat/completions'],
  ['https://host/proxy/v1', '/v1/chat/completions', '/proxy/v1/chat/completions'],
  ['https://host/openai', '/v1/chat/completions', '/openai/v1/chat/completions'],
  ['https://host/v1beta', '/v1/models', '/v1beta/v1/models'],
  ['https://host/v1/', '/v1', '/v1'],
])('%s + %s = %s', (base, path, expected) => {
  expect(targetPath(upstream(base), path, '?a=1')).toBe(`${expected}?a=1`)
})

test("the caller's credentials, hop-by-hop names and our own headers do not reach an upstream; its own do", () => {
  const raw = [
    'Host',
    'gw',
    'Authorization',
    'Bearer tg-1',
    'x-api-key',
    'tg-1',
    'Cookie',
    'a=b',
    'Connection',
    'keep-alive, X-Secret',
    'X-Secret',
    '1',
    'x-tollgate-run',
    'r',
    'X-Forwarded-For',
    '1.2.3.4',
    'anthropic-version',
    '2023-06-01',
    'Content-Length',
    '3',
  ]
  const headers = upstreamRequestHeaders(raw, upstream('https://u', { headers: { 'x-own': 'yes' } }), undefined)
  expect(headers).toEqual([
    'anthropic-version',
    '2023-06-01',
    'accept-encoding',
    'identity',
    'x-own',
    'yes',
    'authorization',
    'Bearer sk-own',
  ])
})

test('an upstream cannot speak in our name', () => {
  const raw = [
    'Content-Type',
    'text/plain',
    'x-tollgate-cost',
    '0',
    'Transfer-Encoding',
    'chunked',
    'Content-Length',
    '5',
  ].map((text) => Buffer.from(text))
  expect(callerResponseHeaders(raw, false)).toEqual(['Content-Type', 'text/plain', 'Content-Length', '5'])
  expect(callerResponseHeaders(raw, true)).toEqual(['Content-Type', 'text/plain'])
})
