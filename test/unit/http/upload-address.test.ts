import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { callerAddress, rewriteUploadAddress } from '../../../src/http/upload-address.ts'
import { testUpstream } from '../../recordings/recordings.ts'

const GOOGLE = 'https://generativelanguage.googleapis.com'
const ADDRESS = `${GOOGLE}/upload/v1beta/files?upload_id=a%2Bb&upload_protocol=resumable`

function request(url: string, headers: Record<string, string> = {}): IncomingMessage {
  return { url, headers: { host: 'gate.example:8080', ...headers } } as unknown as IncomingMessage
}

function rewritten(from: IncomingMessage, address: string, base = GOOGLE): string {
  const headers = ['content-type', 'application/json', 'X-Goog-Upload-URL', address]
  const caller = callerAddress(from)
  if (caller) rewriteUploadAddress(headers, caller, testUpstream(base))
  expect(headers.slice(0, 3)).toEqual(['content-type', 'application/json', 'X-Goog-Upload-URL'])
  return headers[3] as string
}

describe('an address for the bytes of a file leads back here', () => {
  const path = 'upload/v1beta/files?upload_id=a%2Bb&upload_protocol=resumable'
  test.each([
    ['as it is', request('/upload/v1beta/files'), `http://gate.example:8080/${path}`],
    [
      'with the upstream that was named',
      request('/u/gemini/upload/v1beta/files?x=1'),
      `http://gate.example:8080/u/gemini/${path}`,
    ],
    [
      'behind TLS',
      request('/upload/v1beta/files', { 'x-forwarded-proto': 'https' }),
      `https://gate.example:8080/${path}`,
    ],
    [
      'with the key of a header',
      request('/upload/v1beta/files', { 'x-goog-api-key': 'k&1' }),
      `http://gate.example:8080/${path}&key=k%261`,
    ],
    ['with the key of the query', request('/upload/v1beta/files?key=k1'), `http://gate.example:8080/${path}&key=k1`],
  ])('%s', (_name, from, expected) => {
    expect(rewritten(from, ADDRESS)).toBe(expected)
  })

  test('without the path of the upstream’s base URL, which is written before it again', () => {
    expect(
      rewritten(request('/upload/v1beta/files'), `${GOOGLE}/proxy/upload/v1beta/files?upload_id=1`, `${GOOGLE}/proxy/`),
    ).toBe('http://gate.example:8080/upload/v1beta/files?upload_id=1')
  })
})

test.each([
  ['another host', `https://elsewhere.example/upload?upload_id=1`],
  ['another scheme', ADDRESS.replace('https', 'http')],
  ['no address', 'not an address'],
])('%s stays', (_name, address) => {
  expect(rewritten(request('/upload/v1beta/files', { 'x-goog-api-key': 'k' }), address)).toBe(address)
})

test('a request without a host gets what came', () => {
  const bare = { url: '/upload/v1beta/files', headers: {} } as unknown as IncomingMessage
  expect(callerAddress(bare)).toBeUndefined()
})
