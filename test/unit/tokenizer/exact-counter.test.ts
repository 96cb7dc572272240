import fc from 'fast-check'
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base'
import { afterAll, describe, expect, test } from 'vitest'
import { SILENT_LOG } from '../../../src/log.ts'
import { ExactCounter } from '../../../src/tokenizer/exact-counter.ts'
import { splitText } from '../../../src/tokenizer/split-text.ts'
import { waitFor } from '../../support/wait-for.ts'

const PLAIN = { disallowedSpecial: new Set<string>() }

function countInPieces(text: string): number {
  let tokens = 0
  for (const piece of splitText(text)) tokens += countTokens(piece, PLAIN)
  return tokens
}

describe('a text in pieces', () => {
  test('is the text, and no piece is long', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 3000 }), (text) => {
        const pieces = [...splitText(text)]
        expect(pieces.join('')).toBe(text)
        for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(256)
      }),
    )
  })

  test('no character is cut in two', () => {
    for (const piece of splitText('😀'.repeat(1000))) expect(piece.isWellFormed()).toBe(true)
    for (const piece of splitText(`x${'😀'.repeat(1000)}`)) expect(piece.isWellFormed()).toBe(true)
  })

  test.each([
    ['prose', 'The quick brown fox jumps over the lazy dog, and then it sleeps. '.repeat(100)],
    ['code', 'for (let i = 0; i < list.length; i++) {\n  total += list[i].price * 1.19\n}\n'.repeat(60)],
    ['Chinese', '今天天气很好，我们去公园玩吧。'.repeat(100)],
    ['one word', 'ab'.repeat(2000)],
  ])('of %s comes to the tokens of the whole, or a few more', (_name, text) => {
    const whole = countTokens(text, PLAIN)
    expect(countInPieces(text)).toBeGreaterThanOrEqual(whole)
    expect(countInPieces(text)).toBeLessThanOrEqual(whole + Math.ceil(text.length / 128))
  })
})

describe('in a thread', () => {
  const counter = new ExactCounter(SILENT_LOG)
  afterAll(() => counter.close())
  const count = (...texts: string[]) => counter.count({ encoding: 'o200k_base', texts })
  const ready = () => waitFor('the tokenizer', async () => (await count('hello world')) === 2)

  test('texts come to what the tokenizer says, special tokens being text', async () => {
    await ready()
    expect(await count('hello world', 'hello')).toBe(3)
    expect(await count('<|endoftext|>')).toBeGreaterThan(1)
    const older = () => counter.count({ encoding: 'cl100k_base', texts: ['hello world'] })
    await waitFor('the older tokenizer', async () => (await older()) === 2)
  }, 180_000)

  test('what would take a tokenizer seconds is counted in time, and the event loop is not held up', async () => {
    await ready()
    const before = performance.eventLoopUtilization()
    const texts = ['你好世界'.repeat(10_000), 'a'.repeat(60_000), 'The quick brown fox. '.repeat(6_000)]
    await Promise.all(texts.map((text) => count(text)))
    expect(performance.eventLoopUtilization(before).active).toBeLessThan(50)
  }, 180_000)

  test('more than 256 Ki characters are left to the estimate', async () => {
    await ready()
    expect(await count('a '.repeat(140_000))).toBeUndefined()
  }, 180_000)

  test('so is what comes while a million characters wait', async () => {
    await ready()
    const answers = await Promise.all(Array.from({ length: 12 }, () => count('a b '.repeat(30_000))))
    expect(answers.filter((tokens) => tokens === undefined).length).toBeGreaterThan(0)
    await waitFor('it to count again', async () => (await count('hello world')) === 2)
  }, 180_000)

  test('and everything once it is closed', async () => {
    const other = new ExactCounter(SILENT_LOG)
    other.close()
    expect(await other.count({ encoding: 'o200k_base', texts: ['x'] })).toBeUndefined()
  })
})
