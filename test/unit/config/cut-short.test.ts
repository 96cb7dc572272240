import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { cutShort } from '../../../src/config/cut-short.ts'
import { parseTexts, snapshotOf } from './config-texts.ts'

const withoutEnd = readFileSync(new URL('../../../config/entitlements.yaml', import.meta.url), 'utf8')
const shipped = `${withoutEnd}...\n`
const source = (text: string) => ({ file: '/x/e.yaml', text })

/** Read as an edit of what is in force: refused, or what it says. */
function readAfter(inForce: string, text: string) {
  if (text !== inForce && cutShort(source(inForce), source(text)).length > 0) return undefined
  return parseTexts({ entitlements: text }).snapshot
}

test.each([
  ['with an end of document', shipped],
  ['without one', withoutEnd],
])('a file %s that was cut at any byte is refused, or the same config', (_, text) => {
  const whole = snapshotOf({ entitlements: text })
  let same = 0
  for (let end = 0; end < text.length; end++) {
    const read = readAfter(text, text.slice(0, end))
    if (!read) continue
    same++
    expect(read.accounts).toEqual(whole.accounts)
    expect(read.keys).toEqual(whole.keys)
    expect(read.plans).toEqual(whole.plans)
  }
  // Nothing but the last line break can be missing without notice.
  expect(same).toBeLessThanOrEqual(1)
})

test('an edit in the middle, cut at any byte after it, is refused where the file ends with an end of document', () => {
  const edited = shipped.replace('max_output_tokens: 8192', 'max_output_tokens: 4096')
  for (let end = shipped.indexOf('8192') + 4; end < edited.length - 1; end++) {
    expect(readAfter(shipped, edited.slice(0, end))).toBeUndefined()
  }
  expect(readAfter(shipped, edited)?.plans.get('pro')?.maxOutputTokens).toBe(4096)
})

test.each<[name: string, before: string, after: string]>([
  ['a line appended', 'a: 1\n', 'a: 1\nb: 2\n'],
  ['a value shortened', 'a: 11\nb: 2\n', 'a: 1\nb: 2\n'],
  ['a comment taken off the end', 'a: 1\n# old\n\n', 'a: 1\n'],
  ['the last line break taken off', 'a: 1\n', 'a: 1'],
  ['an end of document added', 'a: 1\n', 'a: 1\n...\n'],
  ['a middle line removed', 'a: 1\nb: 2\nc: 3\n', 'a: 1\nc: 3\n'],
])('%s does not look cut short', (_, before, after) => {
  expect(cutShort(source(before), source(after))).toEqual([])
})
