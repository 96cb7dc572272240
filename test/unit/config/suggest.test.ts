import { expect, test } from 'vitest'
import { suggest } from '../../../src/config/suggest.ts'

test.each<[word: string, known: string[], meant: string | undefined]>([
  ['max_cost_per_cal', ['max_cost_per_call', 'max_output_tokens'], 'max_cost_per_call'],
  ['maxOutputTokens', ['max_cost_per_call', 'max_output_tokens'], 'max_output_tokens'],
  ['max-output-tokens', ['max_output_tokens'], 'max_output_tokens'],
  ['modles', ['models', 'modes'], 'models'],
  ['Enforce', ['enforce'], 'enforce'],
  ['x', ['y'], 'y'],
  ['budget', ['upstreams', 'units'], undefined],
  ['same', ['same'], undefined],
  ['a'.repeat(5000), ['a'.repeat(127)], undefined],
])('%s of %j was meant to be %s', (word, known, meant) => {
  expect(suggest(word, known)).toBe(meant)
})
