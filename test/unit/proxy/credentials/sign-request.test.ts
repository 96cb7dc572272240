import { expect, test } from 'vitest'
import { type OutgoingRequest, signRequest } from '../../../../src/proxy/credentials/sign-request.ts'
import { headerValues, verifySignature } from '../../../support/verify-signature.ts'

const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const NOW = Date.UTC(2015, 7, 30, 12, 36, 0)

test('the example that AWS publishes has the signature that AWS publishes', async () => {
  // docs.aws.amazon.com, "Signature Version 4 signing process": ListUsers of IAM.
  const request: OutgoingRequest = {
    method: 'GET',
    path: '/?Action=ListUsers&Version=2010-05-08',
    headers: ['content-type', 'application/x-www-form-urlencoded; charset=utf-8'],
    body: undefined,
  }
  const origin = new URL('https://iam.amazonaws.com')
  await signRequest(request, origin, { region: 'us-east-1', service: 'iam' }, KEYS, NOW)
  expect(request.headers.slice(2)).toEqual([
    'authorization',
    'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7',
    'x-amz-date',
    '20150830T123600Z',
  ])
})

const BEDROCK = new URL('https://bedrock-runtime.us-east-1.amazonaws.com')

test.each([
  ['/model/amazon.nova-lite-v1%3A0/converse'],
  ['/model/us.anthropic.claude-haiku-4-5-20251001-v1:0/invoke'],
  ['/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.x-v1%3A0/converse-stream'],
  ['/async-invoke?maxResults=5&sortBy=SubmissionTime&statusEquals=In%20Progress%2B'],
  ['/model/x/converse?b=2&a=1&a=0&empty&z=%C3%A9'],
])('a signature holds for the request as it is on the wire: %s', async (path) => {
  const body = Buffer.from(JSON.stringify({ messages: [{ role: 'user', content: [{ text: 'Grüße' }] }] }))
  const headers = ['Content-Type', 'application/json', 'accept', '*/*', 'x-amzn-bedrock-trace', 'ENABLED']
  const request: OutgoingRequest = { method: 'POST', path, headers, body }
  const keys = { ...KEYS, sessionToken: 'session' }
  await signRequest(request, BEDROCK, { region: 'us-east-1', service: 'bedrock' }, keys, NOW)
  const seen = { ...request, rawHeaders: ['host', BEDROCK.host, ...request.headers], body }
  expect(verifySignature(seen, KEYS.secretAccessKey)).toEqual({
    valid: true,
    accessKeyId: 'AKIDEXAMPLE',
    region: 'us-east-1',
    service: 'bedrock',
    signedNames: ['content-type', 'host', 'x-amz-date', 'x-amz-security-token', 'x-amzn-bedrock-trace'],
  })
  expect(headerValues(seen, 'x-amz-security-token')).toEqual(['session'])
  for (const changed of [
    { ...seen, method: 'PUT' },
    { ...seen, path: path.replace('/model/', '/model/a').replace('maxResults=5', 'maxResults=6') },
    { ...seen, body: Buffer.concat([body, Buffer.from(' ')]) },
    { ...seen, rawHeaders: seen.rawHeaders.map((value) => (value === BEDROCK.host ? 'other.example' : value)) },
  ])
    expect(verifySignature(changed, KEYS.secretAccessKey).valid).toBe(false)
})
