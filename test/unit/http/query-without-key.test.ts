import { expect, test } from 'vitest'
import { queryWithoutKey } from '../../../src/http/authenticate.ts'

test.each([
  ['', ''],
  ['?alt=sse', '?alt=sse'],
  ['?key=secret', ''],
  ['?alt=sse&key=secret', '?alt=sse'],
  ['?%6bey=secret&alt=sse', '?alt=sse'],
  ['?access_token=ya29.mine&alt=sse&oauth_token=x', '?alt=sse'],
  ['?%61ccess_token=ya29.mine', ''],
  ['?monkey=1&keys=2', '?monkey=1&keys=2'],
  ['?a=key=secret', '?a=key=secret'],
  ['?%24alt=json%3Benum-encoding%3Dint&key=s', '?%24alt=json%3Benum-encoding%3Dint'],
])('of %s goes %s to the upstream: no credential of the caller’s', (query, expected) => {
  expect(queryWithoutKey(query)).toBe(expected)
})

test('further names where an API has them', () => {
  expect(queryWithoutKey('?api-key=s&api-version=1&key=t', 'api-key')).toBe('?api-version=1')
})
