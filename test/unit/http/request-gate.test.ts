import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { requestProblem } from '../../../src/http/request-gate.ts'

const LIMITS = { pathBytes: 4096, headerCount: 200 }

const ARN = 'arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3A'
const PROFILE = 'inference-profile%2Fus.anthropic.claude-v1%3A0'

function request(
  change: Partial<{ method: string; url: string; httpVersion: string; rawHeaders: string[] }>,
): IncomingMessage {
  return {
    method: 'POST',
    url: '/v1/chat/completions',
    httpVersion: '1.1',
    rawHeaders: ['Host', 'x'],
    ...change,
  } as unknown as IncomingMessage
}

test.each([
  ['a plain call', {}],
  ['a query', { url: '/v1/models?limit=3&after=a%20b' }],
  ['a model in the path', { url: '/v1/models/ft:gpt-5:acme::abc' }],
  ['an ARN as AWS’s SDKs write it', { url: `/model/${ARN}${PROFILE}/converse-stream` }],
  [
    'an ARN of several parts under an upstream’s name',
    { url: `/u/aws/model/${ARN}custom-model%2Famazon.titan%3A0%2Fab12/invoke` },
  ],
  ['chunked', { rawHeaders: ['Host', 'x', 'Transfer-Encoding', 'chunked'] }],
  ['the root of an upstream', { url: '/u/hf/' }],
])('%s passes', (_name, change) => {
  expect(requestProblem(request(change), LIMITS)).toBeUndefined()
})

test.each([
  ['HTTP/2.0', { httpVersion: '2.0' }],
  ['TRACE', { method: 'TRACE' }],
  ['two Hosts', { rawHeaders: ['Host', 'a', 'host', 'b'] }],
  ['no Host', { rawHeaders: [] }],
  ['two Authorizations', { rawHeaders: ['Host', 'a', 'Authorization', 'Bearer a', 'authorization', 'Bearer b'] }],
  ['a transfer coding other than chunked', { rawHeaders: ['Host', 'a', 'Transfer-Encoding', 'gzip, chunked'] }],
  ['chunked on HTTP/1.0', { httpVersion: '1.0', rawHeaders: ['Transfer-Encoding', 'chunked'] }],
  ['length and chunked', { rawHeaders: ['Host', 'a', 'Content-Length', '3', 'Transfer-Encoding', 'chunked'] }],
  ['an absolute form', { url: 'http://evil.example/v1/chat/completions' }],
  ['a parent segment', { url: '/v1/../admin' }],
  ['an escaped parent segment', { url: '/v1/%2e%2e/admin' }],
  ['an escaped slash', { url: '/v1%2fchat/completions' }],
  ['an escaped slash beside an ARN', { url: `/model/${ARN}${PROFILE}/invoke%2fx` }],
  ['an ARN that leads up', { url: `/model/${ARN}${PROFILE}%2F..%2F..%2Finvoke/converse` }],
  ['an ARN without an operation', { url: `/model/${ARN}${PROFILE}` }],
  ['an ARN elsewhere', { url: `/v1/models/${ARN}${PROFILE}/converse` }],
  ['an escaped slash in an id that is no ARN', { url: '/model/us.x%2Fy/converse' }],
  ['an escaped NUL', { url: '/v1/chat%00' }],
  ['a broken escape', { url: '/v1/%zz' }],
  ['an empty segment', { url: '//v1/chat/completions' }],
  ['an empty last segment', { url: '/v1/chat/completions/' }],
  ['two of them behind an upstream', { url: '/u/hf//' }],
  ['a parent segment for an upstream', { url: '/u/../' }],
  ['a backslash', { url: '/v1\\chat' }],
  ['a path beyond the bound', { url: `/${'a'.repeat(4096)}` }],
  ['asterisk form', { url: '*' }],
])('%s is refused', (_name, change) => {
  expect(requestProblem(request(change), LIMITS)).toMatch(/\.$/)
})
