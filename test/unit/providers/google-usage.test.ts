/** What Google states of an answer, in disjoint kinds. Figures by the documents and by recorded traffic. */
import { describe, expect, test } from 'vitest'
import { readGenerateUsage, readTier } from '../../../src/providers/generate-content/generate-content-usage.ts'
import { countSearches } from '../../../src/providers/generate-content/grounding.ts'
import { readInteractionUsage } from '../../../src/providers/generate-content/interactions-usage.ts'

const of = (modality: string | number, tokenCount: number) => ({ modality, tokenCount })

function read(usage: object): object | undefined {
  const { raw, ...rest } = readGenerateUsage(usage) ?? {}
  expect(raw).toBe(Object.keys(rest).length > 0 ? usage : undefined)
  return raw === undefined ? undefined : rest
}

describe('usageMetadata', () => {
  test.each([
    [
      'plain',
      { promptTokenCount: 30, candidatesTokenCount: 50, totalTokenCount: 80 },
      { tokens: { input: 30, output: 50 } },
    ],
    [
      'thoughts are output that the candidates leave out',
      { promptTokenCount: 3, candidatesTokenCount: 9, thoughtsTokenCount: 204, totalTokenCount: 216 },
      { tokens: { input: 3, output: 213 }, reasoning: 204 },
    ],
    [
      'what tools gave is input that the prompt leaves out',
      { promptTokenCount: 10, toolUsePromptTokenCount: 73, candidatesTokenCount: 30, totalTokenCount: 113 },
      { tokens: { input: 83, output: 30 } },
    ],
    [
      'cached tokens are a part of the prompt',
      { promptTokenCount: 9622, cachedContentTokenCount: 9609, candidatesTokenCount: 35, totalTokenCount: 9657 },
      { tokens: { input: 13, cached_input: 9609, output: 35 } },
    ],
    [
      'modalities of the prompt, some of them cached',
      {
        promptTokenCount: 1600,
        cachedContentTokenCount: 500,
        candidatesTokenCount: 1,
        promptTokensDetails: [
          of('TEXT', 40),
          of('IMAGE', 258),
          of('VIDEO', 1000),
          of('AUDIO', 202),
          of('DOCUMENT', 100),
        ],
        cacheTokensDetails: [of('VIDEO', 400), of('AUDIO', 60), of('TEXT', 40)],
      },
      {
        tokens: {
          input: 100,
          cached_input: 440,
          cached_audio_input: 60,
          audio_input: 142,
          image_input: 258,
          video_input: 600,
          output: 1,
        },
      },
    ],
    [
      'modalities as numbers (enum-encoding=int)',
      {
        promptTokenCount: 74,
        candidatesTokenCount: 16,
        promptTokensDetails: [of(1, 14), of(2, 20), of(3, 30), of(4, 10)],
      },
      { tokens: { input: 14, audio_input: 10, image_input: 20, video_input: 30, output: 16 } },
    ],
    [
      'speech and pictures in the answer',
      {
        promptTokenCount: 4,
        candidatesTokenCount: 1120,
        candidatesTokensDetails: [of('IMAGE', 1000), of('AUDIO', 100)],
        thoughtsTokenCount: 7,
      },
      { tokens: { input: 4, output: 27, audio_output: 100, image_output: 1000 }, reasoning: 7 },
    ],
    [
      'no prompt stated',
      { candidatesTokenCount: 18, thoughtsTokenCount: 58 },
      { tokens: { output: 76 }, reasoning: 58 },
    ],
    ['no candidates stated', { promptTokenCount: 171, totalTokenCount: 171 }, { tokens: { input: 171 } }],
    ['zero is stated', { promptTokenCount: 5, candidatesTokenCount: 0 }, { tokens: { input: 5, output: 0 } }],
    [
      'an embedding',
      { promptTokenCount: 261, promptTokenDetails: [of('IMAGE', 258), of('TEXT', 3)] },
      { tokens: { input: 3, image_input: 258 } },
    ],
    [
      'a total that is off by one',
      { promptTokenCount: 18, candidatesTokenCount: 1, thoughtsTokenCount: 203, totalTokenCount: 221 },
      { tokens: { input: 18, output: 204 }, reasoning: 203, flags: ['total_differs'] },
    ],
    [
      'more cached than there is',
      { promptTokenCount: 10, cachedContentTokenCount: 12, candidatesTokenCount: 1 },
      { tokens: { input: 0, cached_input: 10, output: 1 }, flags: ['cached_beyond_input'] },
    ],
    ['only what was cached', { cachedContentTokenCount: 12 }, { tokens: { input: 0, cached_input: 12 } }],
    [
      'more pictures than tokens',
      { promptTokenCount: 1, candidatesTokenCount: 5, candidatesTokensDetails: [of('IMAGE', 9)] },
      { tokens: { input: 1, output: 0, image_output: 5 }, flags: ['modality_beyond_output'] },
    ],
    [
      'a count that is none',
      { promptTokenCount: -4, candidatesTokenCount: 5.5, thoughtsTokenCount: 3 },
      { tokens: { output: 3 }, reasoning: 3, flags: ['unreadable_count'] },
    ],
  ])('%s', (_name, usage, expected) => {
    expect(read(usage)).toEqual(expected)
  })

  test.each([
    [undefined],
    [null],
    [{}],
    [[]],
    ['x'],
    [{ trafficType: 'ON_DEMAND' }],
    [{ totalTokenCount: 1090 }],
    [{ promptTokenCount: '7' }],
  ])('states nothing: %j', (usage) => {
    expect(readGenerateUsage(usage)).toBeUndefined()
  })

  test.each([
    [{ serviceTier: 'flex' }, 'flex'],
    [{ trafficType: 'ON_DEMAND' }, 'ON_DEMAND'],
    [{ trafficType: 1 }, '1'],
    [{}, undefined],
    [undefined, undefined],
  ])('the tier of %j is %s', (usage, tier) => {
    expect(readTier(usage)).toBe(tier)
  })
})

describe('searches are counted as they are billed', () => {
  const web = { web: { uri: 'https://example.com' } }
  test.each([
    ['each distinct query', 'gemini-3-flash-preview', ['a', 'b', 'a', '', ' '], [web], 2],
    ['of an alias', 'gemini-flash-latest', ['a', 'b'], [web], 2],
    ['queries without a result', 'gemini-3.5-flash', ['a'], [], 1],
    ['a prompt, however many queries', 'gemini-2.5-flash', ['a', 'b'], [web, web], 1],
    ['a prompt without a result', 'gemini-2.5-flash', ['a', 'b'], [], 0],
    ['pages that the caller named', 'gemini-2.5-flash', [], [web], 0],
    ['a map', 'gemini-3.5-flash', [], [{ maps: { uri: 'x' } }], 1],
    ['a map of an earlier model', 'gemini-2.5-pro', [], [{ maps: { uri: 'x' } }], 1],
    ['documents of one’s own', 'gemini-2.5-pro', [], [{ retrievedContext: { uri: 'x' } }], 0],
    ['nothing', 'gemini-3.5-flash', [], [], 0],
    ['nonsense', 'gemini-3.5-flash', [1, null, {}], ['x', null], 0],
  ])('%s (%s)', (_name, model, queries, chunks, searches) => {
    expect(countSearches({ queries, chunks }, model)).toBe(searches)
  })
})

describe('usage of an interaction', () => {
  test.each([
    [
      'thoughts and pictures',
      {
        total_tokens: 326,
        total_input_tokens: 266,
        input_tokens_by_modality: [
          { modality: 'text', tokens: 8 },
          { modality: 'image', tokens: 258 },
        ],
        total_cached_tokens: 0,
        total_output_tokens: 3,
        total_tool_use_tokens: 0,
        total_thought_tokens: 57,
      },
      { tokens: { input: 8, image_input: 258, output: 60 }, reasoning: 57 },
    ],
    [
      'cached input, tools and searches',
      {
        total_input_tokens: 100,
        total_cached_tokens: 40,
        total_tool_use_tokens: 25,
        total_output_tokens: 10,
        grounding_tool_count: [
          { type: 'google_search', count: 3 },
          { type: 'file_search', count: 7 },
        ],
      },
      { tokens: { input: 85, cached_input: 40, output: 10 }, units: { web_search: 3 } },
    ],
  ])('%s', (_name, usage, expected) => {
    const { raw, ...rest } = readInteractionUsage(usage, 'gemini-3.5-flash') ?? {}
    expect(rest).toEqual(expected)
    expect(raw).toBe(usage)
  })

  test.each([[undefined], [{}], [{ total_tokens: 5 }]])('states nothing: %j', (usage) => {
    expect(readInteractionUsage(usage, 'gemini-2.5-flash')).toBeUndefined()
  })
})
