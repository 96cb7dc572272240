import { describe, expect, test } from 'vitest'
import { usageInTail } from '../../../src/providers/usage-in-tail.ts'

describe('the usage at the end of an event that was too large', () => {
  test.each([
    ['AAAA"}],"usage":{"a":1,"b":{"c":"}\\"}"}}}', { a: 1, b: { c: '}"}' } }],
    ['"usage":{"a":1},"x":{},"usage": {"a":2} }', { a: 2 }],
    ['"usage":null}', undefined],
    ['"usage":{"a":1', undefined],
    ['"usage":{"a":tru}}', undefined],
    ['"usage":}', undefined],
    ['{"x":1}', undefined],
  ])('%s', (text, usage) => {
    expect(usageInTail(Buffer.from(text))).toEqual(usage)
  })

  test('is found in time that grows with its length alone', () => {
    const tail = Buffer.from(`"usage":{"a":[${'{},'.repeat(300_000)}0]}`)
    const start = performance.now()
    expect(usageInTail(tail)).toBeDefined()
    expect(performance.now() - start).toBeLessThan(2000)
  })
})
