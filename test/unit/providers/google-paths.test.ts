import { describe, expect, test } from 'vitest'
import { providers } from '../../../src/providers/registry.ts'

function match(format: 'gemini' | 'vertex' | 'openai', method: string, path: string): string {
  const found = providers.get(format)?.match(method, path)
  if (!found) return 'none'
  const { kind, endpoint, metering } = found.operation
  expect(metering === undefined).toBe(kind !== 'metered')
  return [kind, endpoint, found.objectId, found.model && `(${found.model})`].filter(Boolean).join(' ')
}

const VERTEX = '/v1/projects/p/locations/us-central1'

describe("a path of the Gemini API is known by its model's method or by its resource", () => {
  test.each([
    ['POST', '/v1beta/models/gemini-2.5-flash:generateContent', 'metered generate_content'],
    ['POST', '/v1beta/models/gemini-2.5-flash:generateContent?key=x', 'metered generate_content'],
    ['POST', '/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse', 'metered generate_content'],
    ['POST', '/models/gemini-2.5-flash:generateContent', 'metered generate_content'],
    ['POST', '/v1beta/tunedModels/mine:generateContent', 'metered generate_content'],
    ['POST', '/v1beta/models/gemini-2.5-flash%3AgenerateContent', 'metered generate_content'],
    ['POST', '/v1beta/mod%65ls/gemini-2.5-flash:generateContent', 'metered generate_content'],
    ['POST', '/v1beta/models/gemini-2.5-flash:GENERATECONTENT', 'metered generate_content'],
    ['POST', '/v1beta/models/gemini-embedding-001:embedContent', 'metered embeddings'],
    ['POST', '/v1beta/models/gemini-embedding-001:batchEmbedContents', 'metered embeddings'],
    ['POST', '/v1beta/models/imagen-4.0-generate-001:predict', 'metered predict'],
    ['POST', '/v1beta/models/gemini-2.5-flash:countTokens', 'free count_tokens (gemini-2.5-flash)'],
    ['POST', '/v1beta/interactions', 'metered generate_content'],
    ['POST', '/v1/interactions', 'metered generate_content'],
    ['GET', '/v1/interactions/v1_Abc', 'free generate_content v1_Abc'],
    ['GET', '/v1beta/interactions/v1_Abc', 'free generate_content v1_Abc'],
    ['DELETE', '/v1beta/interactions/v1_Abc', 'free generate_content v1_Abc'],
    ['POST', '/v1beta/interactions/v1_Abc/cancel', 'free generate_content v1_Abc'],
    ['GET', '/v1beta/models', 'free models'],
    ['GET', '/v1beta/models/gemini-2.5-flash', 'free models (gemini-2.5-flash)'],
    ['POST', '/upload/v1beta/files', 'free files'],
    ['GET', '/v1beta/files/abc-1', 'free files abc-1'],
    ['GET', '/v1beta/files/abc-1:download?alt=media', 'free files abc-1'],
    ['DELETE', '/v1beta/files/abc-1', 'free files abc-1'],
    ['POST', '/v1beta/cachedContents', 'unmetered cached_contents'],
    ['PATCH', '/v1beta/cachedContents/c1?updateMask=ttl', 'unmetered cached_contents c1'],
    ['GET', '/v1beta/cachedContents/c1', 'free cached_contents c1'],
    ['DELETE', '/v1beta/cachedContents/c1', 'free cached_contents c1'],
    ['GET', '/v1beta/tunedModels/mine', 'free models mine'],
    ['GET', '/v1beta/batches/b1', 'free batches b1'],
    ['POST', '/v1beta/batches/b1:cancel', 'free batches b1'],
    ['GET', '/v1beta/operations/o1', 'free operations o1'],
  ])('%s %s', (method, path, expected) => {
    expect(match('gemini', method, path)).toBe(expected)
    expect(match('vertex', method, path)).toBe(path.startsWith('/models/') ? expected : 'none')
  })
})

describe("a path of Vertex AI is known whether it names Google's model, a tuned one or Anthropic's", () => {
  test.each([
    ['POST', `${VERTEX}/publishers/google/models/gemini-2.5-pro:generateContent`, 'metered generate_content'],
    ['POST', `${VERTEX}/publishers/google/models/gemini-2.5-pro:streamGenerateContent`, 'metered generate_content'],
    ['POST', '/v1beta1/publishers/google/models/gemini-2.5-pro:generateContent', 'metered generate_content'],
    ['POST', '/publishers/google/models/gemini-2.5-pro:generateContent', 'metered generate_content'],
    ['POST', `${VERTEX}/endpoints/1234:generateContent`, 'metered generate_content'],
    ['POST', `${VERTEX}/publishers/google/models/text-embedding-005:predict`, 'metered predict'],
    ['POST', `${VERTEX}/publishers/google/models/gemini-2.5-pro:countTokens`, 'free count_tokens (gemini-2.5-pro)'],
    ['POST', `${VERTEX}/publishers/google/models/gemini-2.5-pro:computeTokens`, 'free count_tokens (gemini-2.5-pro)'],
    ['POST', `${VERTEX}/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict`, 'metered messages'],
    ['POST', `${VERTEX}/publishers/anthropic/models/claude-sonnet-4-5%4020250929:streamRawPredict`, 'metered messages'],
    ['POST', `${VERTEX}/publishers/anthropic/models/count-tokens:rawPredict`, 'free count_tokens'],
    ['POST', `${VERTEX}/interactions`, 'metered generate_content'],
    ['POST', `${VERTEX}/cachedContents`, 'unmetered cached_contents'],
    ['GET', `${VERTEX}/cachedContents/77`, 'free cached_contents 77'],
    ['GET', `${VERTEX}/operations/88`, 'free operations 88'],
    ['GET', `${VERTEX}/batchPredictionJobs/99`, 'free batches 99'],
    ['GET', `${VERTEX}/publishers/google/models/gemini-2.5-pro`, 'free models (gemini-2.5-pro)'],
    ['GET', '/v1beta1/publishers/google/models', 'free models'],
  ])('%s %s', (method, path, expected) => {
    expect(match('vertex', method, path)).toBe(expected)
    expect(match('gemini', method, path)).toBe('none')
  })
})

describe('what is neither metered nor free is not known', () => {
  test.each([
    ['gemini', 'GET', '/v1beta/models/gemini-2.5-flash:generateContent'],
    ['gemini', 'POST', '/v1beta/models/veo-3.0:predictLongRunning'],
    ['gemini', 'POST', '/v1beta/models/gemini-2.5-flash'],
    ['gemini', 'POST', '/v1beta/models/:generateContent'],
    ['gemini', 'POST', '/v1beta/models%2Fgemini-2.5-flash:generateContent'],
    ['gemini', 'POST', '/v1beta/models/gemini-2.5-flash:generateContent/x'],
    ['gemini', 'GET', '/v1beta/files/..'],
    ['gemini', 'GET', '/v1beta/files/%2e%2e'],
    ['gemini', 'GET', '/v1beta/files/a%2fb'],
    ['gemini', 'GET', '/v1beta/files/abc:cancel'],
    ['gemini', 'POST', '/v1beta/tunedModels'],
    ['gemini', 'POST', '/v1beta/fileSearchStores'],
    ['gemini', 'GET', '/v1/models'],
    ['gemini', 'GET', '/v1/files/abc'],
    ['gemini', 'GET', '/v1/batches/abc'],
    ['vertex', 'POST', `${VERTEX}/publishers/mistralai/models/mistral-large:rawPredict`],
    ['vertex', 'POST', `${VERTEX}/endpoints/1234:rawPredict`],
    ['vertex', 'POST', `${VERTEX}/publishers/google/models/veo-3:predictLongRunning`],
    ['vertex', 'POST', `${VERTEX}/batchPredictionJobs`],
    ['vertex', 'POST', `${VERTEX}/tuningJobs`],
    ['openai', 'POST', '/v1beta/models/gemini-2.5-flash:generateContent'],
  ] as const)('%s %s %s', (format, method, path) => {
    expect(match(format, method, path)).toBe('none')
  })
})

test('lists of objects show what others made: they need an upstream that shares them', () => {
  for (const collection of ['files', 'cachedContents', 'batches', 'tunedModels', 'interactions', 'operations'])
    expect(providers.get('gemini')?.match('GET', `/v1beta/${collection}`)?.operation).toMatchObject({
      kind: 'free',
      objects: { lists: true },
    })
  expect(providers.get('gemini')?.match('GET', '/v1beta/models')?.operation.objects).toBeUndefined()
})

test('under /v1, where others have the same collections, a caller is Google’s by its headers', () => {
  const gemini = providers.get('gemini')
  for (const headers of [
    { 'x-goog-api-key': 'k' },
    { 'x-goog-api-client': 'google-genai-sdk' },
    { 'x-goog-upload-command': 'start' },
  ]) {
    expect(gemini?.match('GET', '/v1/files/abc', headers)).toMatchObject({ objectId: 'abc' })
    expect(gemini?.match('POST', '/upload/v1/files', headers)?.operation.endpoint).toBe('files')
    expect(gemini?.match('GET', '/v1/models', headers)?.operation.endpoint).toBe('models')
  }
  expect(gemini?.match('GET', '/v1/files/abc', { authorization: 'Bearer k' })).toBeUndefined()
})
