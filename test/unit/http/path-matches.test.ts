import { describe, expect, it } from 'vitest'
import type { Format } from '../../../src/config/snapshot.ts'
import { pathMatches } from '../../../src/http/path-matches.ts'
import type { Provider } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'

const PATHS = [
  '/v1/chat/completions',
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/v1/files',
  '/v1/files/file-abc',
  '/v1/models',
  '/v1/models/gemini-2.5-flash:generateContent',
  '/v1beta/models/gemini-2.5-flash:streamGenerateContent',
  '/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent',
  '/model/anthropic.claude-sonnet-4-20250514-v1%3A0/converse',
  '/v2/chat',
  '/api/chat',
  '/v1/responses',
  '/v1/responses/resp_abc',
  '/nowhere',
  '/',
]
const HEADERS = [{}, { 'x-goog-api-key': 'k' }, { 'x-goog-api-client': 'c' }, { 'anthropic-version': '2023-06-01' }]

function asked(method: string, path: string, headers: Record<string, string>, only?: Format) {
  return [...providers]
    .filter(([format]) => only === undefined || only === format)
    .flatMap(([, provider]) => provider.match(method, path, headers) ?? [])
}

describe('kept matches of paths', () => {
  it('are what the formats themselves say, for every method, path, header and named format, asked again and again', () => {
    for (let round = 0; round < 2; round++)
      for (const path of PATHS)
        for (const method of ['POST', 'GET', 'DELETE'])
          for (const headers of HEADERS)
            for (const only of [undefined, 'openai', 'gemini', 'cohere'] as const)
              expect(pathMatches(providers, method, path, headers, only), `${method} ${path}`).toEqual(
                asked(method, path, headers, only),
              )
  })

  it('are asked once for a path, and every time for one too long to be kept', () => {
    let asks = 0
    const counting: Provider = {
      format: 'openai',
      match: () => {
        asks++
        return undefined
      },
      errorBody: () => {
        throw new Error('nothing is refused here')
      },
    }
    const one = new Map<Format, Provider>([['openai', counting]])
    for (let i = 0; i < 3; i++) pathMatches(one, 'POST', '/v1/chat/completions', {}, undefined)
    expect(asks).toBe(1)
    for (let i = 0; i < 3; i++) pathMatches(one, 'POST', `/${'a'.repeat(300)}`, {}, undefined)
    expect(asks).toBe(4)
  })
})
