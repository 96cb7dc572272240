import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Usage } from '../../../src/core/usage.ts'
import { mergeUsage, readMessagesUsage } from '../../../src/providers/messages/messages-usage.ts'
import { readChatUsage, withBreakdown } from '../../../src/providers/openai/chat-usage.ts'
import { readResponsesUsage } from '../../../src/providers/openai/responses-usage.ts'
import { totalInput, totalOutput } from '../../../src/providers/usage-totals.ts'

const SEED = 20261123
const NO_CALLS = { webSearches: 0, fileSearches: 0 }

describe('usage of chat completions and their dialects: each token stands in one kind', () => {
  test.each([
    ['nothing but a total (Voyage)', { total_tokens: 12 }, { input: 12, output: 0 }],
    ['explicit zero is zero', { prompt_tokens: 0, completion_tokens: 0 }, { input: 0, output: 0 }],
    [
      'cited pages and reasoning that are billed apart: Perplexity',
      {
        prompt_tokens: 33,
        completion_tokens: 700,
        total_tokens: 733,
        citation_tokens: 2000,
        num_search_queries: 18,
        reasoning_tokens: 7000,
        cost: { citation_tokens_cost: 0.04, reasoning_tokens_cost: 0.22, total_cost: 0.4 },
      },
      { input: 2033, output: 7700 },
    ],
    [
      'cited pages that are not: Perplexity',
      { prompt_tokens: 14, completion_tokens: 70, total_tokens: 84, citation_tokens: 900, num_search_queries: 1 },
      { input: 14, output: 70 },
    ],
    [
      'cached: DeepSeek',
      { prompt_tokens: 10, completion_tokens: 1, prompt_cache_hit_tokens: 4 },
      { input: 6, cached_input: 4, output: 1 },
    ],
    [
      'cached: Together',
      { prompt_tokens: 10, completion_tokens: 1, cached_tokens: 4 },
      { input: 6, cached_input: 4, output: 1 },
    ],
    [
      'cached: Moonshot and others',
      { prompt_tokens: 10, completion_tokens: 1, num_cached_tokens: 4 },
      { input: 6, cached_input: 4, output: 1 },
    ],
    [
      'cache writes: OpenRouter',
      { prompt_tokens: 10, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 2, cache_write_tokens: 5 } },
      { input: 3, cached_input: 2, cache_write_5m: 5, output: 1 },
    ],
    [
      'audio in and out: OpenAI',
      {
        prompt_tokens: 59,
        completion_tokens: 20,
        prompt_tokens_details: { audio_tokens: 43 },
        completion_tokens_details: { audio_tokens: 15 },
      },
      { input: 16, audio_input: 43, output: 5, audio_output: 15 },
    ],
    [
      'audio that is cached',
      { prompt_tokens: 100, completion_tokens: 1, prompt_tokens_details: { audio_tokens: 80, cached_tokens: 50 } },
      { input: 0, audio_input: 50, cached_audio_input: 30, cached_input: 20, output: 1 },
    ],
    [
      'audio in the total alone: Mistral',
      {
        prompt_tokens: 9,
        completion_tokens: 248,
        total_tokens: 632,
        prompt_audio_seconds: 3,
        prompt_tokens_details: { audio_tokens: 375 },
      },
      { input: 9, audio_input: 375, output: 248 },
    ],
    [
      'audio in the total alone, its count not even stated: Mistral before',
      { prompt_tokens: 9, completion_tokens: 248, total_tokens: 632, prompt_audio_seconds: 3 },
      { input: 9, audio_input: 375, output: 248 },
    ],
    [
      'what connectors read, in the total alone: Mistral',
      { prompt_tokens: 188, completion_tokens: 55, total_tokens: 7355, connector_tokens: 7112 },
      { input: 7300, output: 55 },
    ],
    [
      'reasoning in the total alone: Gemini compatible',
      { prompt_tokens: 5, completion_tokens: 7, total_tokens: 52 },
      { input: 5, output: 47 },
    ],
    [
      'the names of the Responses API: Reka',
      {
        input_tokens: 20,
        input_tokens_details: { cached_tokens: 4 },
        output_tokens: 5,
        output_tokens_details: { reasoning_tokens: 3 },
      },
      { input: 16, cached_input: 4, output: 5 },
    ],
    ['a total off by one', { prompt_tokens: 5, completion_tokens: 7, total_tokens: 13 }, { input: 5, output: 7 }],
    ['a total that is too small', { prompt_tokens: 5, completion_tokens: 7, total_tokens: 2 }, { input: 5, output: 7 }],
    [
      'reasoning outside: xAI',
      {
        prompt_tokens: 468,
        completion_tokens: 77,
        total_tokens: 1127,
        completion_tokens_details: { reasoning_tokens: 582 },
      },
      { input: 468, output: 659 },
    ],
    [
      'reasoning outside, with a total off by one',
      {
        prompt_tokens: 3110,
        completion_tokens: 673,
        total_tokens: 4691,
        completion_tokens_details: { reasoning_tokens: 909 },
      },
      { input: 3110, output: 1582 },
    ],
    [
      'reasoning outside the total too: Vercel',
      {
        prompt_tokens: 57,
        completion_tokens: 10,
        total_tokens: 67,
        market_cost: 0.0001,
        completion_tokens_details: { reasoning_tokens: 37 },
      },
      { input: 57, output: 47 },
    ],
    [
      'reasoning inside: OpenAI',
      {
        prompt_tokens: 5,
        completion_tokens: 50,
        total_tokens: 55,
        completion_tokens_details: { reasoning_tokens: 40 },
      },
      { input: 5, output: 50 },
    ],
  ])('%s', (_name, usage, tokens) => {
    const read = readChatUsage(usage)
    expect(read?.tokens).toEqual(tokens)
    expect(read?.flags).toBeUndefined()
    expect(read?.raw).toBe(usage)
  })

  test.each([
    [{ connectors: { web_search: 1, web_search_premium: 2, code_interpreter: 1 } }, { web_search: 3 }],
    [{ connectors: { code_interpreter: 1 } }, undefined],
    [{ server_tool_use_details: { web_search_requests: 2 } }, { web_search: 2 }],
  ])('searches in %j', (more, units) => {
    expect(readChatUsage({ prompt_tokens: 5, completion_tokens: 7, ...more })?.units).toEqual(units)
  })

  test('a system of several models is billed by each run on its own model: Groq’s Compound', () => {
    const run = (model: string, prompt_tokens: number, completion_tokens: number) => ({
      model,
      usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
    })
    const whole = readChatUsage({ prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 })
    const runs = [run('llama-3.3-70b-versatile', 60, 30), run('openai/gpt-oss-120b', 40, 20)]
    expect(withBreakdown(whole, { models: runs })).toEqual({
      ...whole,
      passes: [
        { model: 'llama-3.3-70b-versatile', tokens: { input: 60, output: 30 } },
        { model: 'openai/gpt-oss-120b', tokens: { input: 40, output: 20 } },
      ],
    })
    // What does not add up, or cannot be read, is no account of the whole.
    for (const models of [runs.slice(1), [...runs, { model: 'x' }], [], 'x'])
      expect(withBreakdown(whole, { models })).toBe(whole)
  })

  test('llama.cpp states its cache beside usage', () => {
    expect(readChatUsage({ prompt_tokens: 84, completion_tokens: 57 }, { cache_n: 83 })?.tokens).toEqual({
      input: 1,
      cached_input: 83,
      output: 57,
    })
  })

  test.each([
    [null],
    [undefined],
    [{}],
    [[]],
    ['12'],
    [5],
    [{ cost: 1 }],
    [{ prompt_tokens: null }],
    [{ prompt_tokens: '7' }],
    [{ prompt_tokens: -1 }],
  ])('no usage in %j', (value) => {
    expect(readChatUsage(value)).toBeUndefined()
  })

  test.each([
    [
      'cached beyond the prompt',
      { prompt_tokens: 7, completion_tokens: 8, prompt_tokens_details: { cached_tokens: 161 } },
      { input: 0, cached_input: 7, output: 8 },
      'cached_beyond_input',
    ],
    [
      'reasoning beyond the answer',
      { prompt_tokens: 7, completion_tokens: 0, total_tokens: 7, completion_tokens_details: { reasoning_tokens: 9 } },
      { input: 7, output: 0 },
      'reasoning_beyond_output',
    ],
    ['a count that is none', { prompt_tokens: 7, completion_tokens: -3 }, { input: 7, output: 0 }, 'unreadable_count'],
  ])('is clamped and flagged: %s', (_name, usage, tokens, flag) => {
    const read = readChatUsage(usage)
    expect(read?.tokens).toEqual(tokens)
    expect(read?.flags).toEqual([flag])
    expect(read?.reasoning ?? 0).toBeLessThanOrEqual(tokens.output)
  })
})

describe('usage of responses', () => {
  test('cached and reasoning tokens are parts; searches are counted', () => {
    const usage = {
      input_tokens: 36,
      input_tokens_details: { cached_tokens: 6, cache_write_tokens: 10 },
      output_tokens: 50,
      output_tokens_details: { reasoning_tokens: 40 },
    }
    expect(readResponsesUsage(usage, { webSearches: 2, fileSearches: 1 })).toEqual({
      tokens: { input: 20, cached_input: 6, cache_write_5m: 10, output: 50 },
      reasoning: 40,
      units: { web_search: 2, file_search: 1 },
      raw: usage,
    })
  })

  test('cached tokens under Anthropic’s names: Perplexity', () => {
    const details = { cache_creation_input_tokens: 3, cache_read_input_tokens: 4 }
    const usage = { input_tokens: 20, input_tokens_details: details, output_tokens: 5 }
    expect(readResponsesUsage(usage, NO_CALLS)?.tokens).toEqual({
      input: 13,
      cached_input: 4,
      cache_write_5m: 3,
      output: 5,
    })
  })

  test.each([
    [
      'xAI: the calls that succeeded, those of X among them, whatever was tried',
      { server_side_tool_usage_details: { web_search_calls: 1, x_search_calls: 2, file_search_calls: 3 } },
      { web_search: 3, file_search: 3 },
    ],
    [
      'xAI: none that succeeded',
      { server_side_tool_usage_details: { web_search_calls: 0, x_search_calls: 0, code_interpreter_calls: 2 } },
      undefined,
    ],
    [
      'Perplexity: invocations of tools that search',
      { tool_calls_details: { web_search: { invocation: 2 }, fetch_url: { invocation: 5 } } },
      { web_search: 2 },
    ],
    ['where nothing says what was billed: the items', {}, { web_search: 4, file_search: 1 }],
  ])('hosted tools are counted as they were billed: %s', (_name, more, units) => {
    const usage = { input_tokens: 5, output_tokens: 2, ...more }
    expect(readResponsesUsage(usage, { webSearches: 4, fileSearches: 1 })?.units).toEqual(units)
  })
})

describe('usage of messages', () => {
  test.each([
    [
      'no split: five minutes',
      { input_tokens: 1, cache_creation_input_tokens: 9 },
      false,
      { cache_write_5m: 9, cache_write_1h: 0 },
    ],
    [
      'no split, an hour asked for',
      { input_tokens: 1, cache_creation_input_tokens: 9 },
      true,
      { cache_write_5m: 0, cache_write_1h: 9 },
    ],
    [
      'a split that falls short: the rest is five minutes',
      {
        input_tokens: 1,
        cache_creation_input_tokens: 9,
        cache_creation: { ephemeral_5m_input_tokens: 2, ephemeral_1h_input_tokens: 3 },
      },
      true,
      { cache_write_5m: 6, cache_write_1h: 3 },
    ],
    [
      'a split alone',
      { input_tokens: 1, cache_creation: { ephemeral_1h_input_tokens: 3 } },
      false,
      { cache_write_5m: 0, cache_write_1h: 3 },
    ],
  ])('%s', (_name, usage, hour, expected) => {
    expect(readMessagesUsage(usage, hour)?.tokens).toMatchObject({ input: 1, ...expected })
  })

  test('the last value of each field wins; null says nothing', () => {
    const merged = mergeUsage(
      { input_tokens: 727, output_tokens: 1, service_tier: 'standard' },
      { input_tokens: 1595, output_tokens: 30, service_tier: null },
    )
    expect(merged).toEqual({ input_tokens: 1595, output_tokens: 30, service_tier: 'standard' })
  })

  test('passes that are all of the message itself are in the counts already', () => {
    const pass = { type: 'message', input_tokens: 5, output_tokens: 2 }
    expect(
      readMessagesUsage({ input_tokens: 10, output_tokens: 4, iterations: [pass, pass] }, false)?.tokens,
    ).toMatchObject({ input: 10, output: 4 })
  })
})

test(`whatever stands in a usage object, counts are whole, not negative, and add up (seed ${SEED})`, () => {
  const count = fc.oneof(
    fc.nat(1000),
    fc.integer({ min: -5, max: 5 }),
    fc.constantFrom(null, '7', 1.5, Number.POSITIVE_INFINITY, {}, []),
  )
  const details = fc.record(
    {
      cached_tokens: count,
      audio_tokens: count,
      image_tokens: count,
      video_tokens: count,
      cache_write_tokens: count,
      reasoning_tokens: count,
    },
    { requiredKeys: [] },
  )
  const names = [
    'prompt_tokens',
    'completion_tokens',
    'total_tokens',
    'input_tokens',
    'output_tokens',
    'cache_read_input_tokens',
    'cache_creation_input_tokens',
    'prompt_audio_seconds',
    'market_cost',
    'cached_tokens',
    'reasoning_tokens',
  ]
  const usage = fc
    .tuple(fc.dictionary(fc.constantFrom(...names), count), details, details)
    .map(([counts, prompt, completion]) => ({
      ...counts,
      prompt_tokens_details: prompt,
      input_tokens_details: prompt,
      completion_tokens_details: completion,
      output_tokens_details: completion,
      cache_creation: {
        ephemeral_5m_input_tokens: prompt.cached_tokens,
        ephemeral_1h_input_tokens: prompt.audio_tokens,
      },
    }))
  const sound = (read: Usage | undefined): void => {
    if (!read) return
    for (const tokens of Object.values(read.tokens)) expect(Number.isSafeInteger(tokens) && tokens >= 0).toBe(true)
    expect(read.reasoning ?? 0).toBeLessThanOrEqual(read.tokens.output ?? 0)
  }
  fc.assert(
    fc.property(usage, (value) => {
      const chat = readChatUsage(value)
      sound(chat)
      sound(readMessagesUsage(value, true))
      const responses = readResponsesUsage(value, NO_CALLS)
      sound(responses)
      const input = (value as Record<string, unknown>)['input_tokens']
      if (responses && Number.isSafeInteger(input) && (input as number) >= 0) expect(totalInput(responses)).toBe(input)
      const output = (value as Record<string, unknown>)['output_tokens']
      if (responses && Number.isSafeInteger(output) && (output as number) >= 0)
        expect(totalOutput(responses)).toBe(output)
    }),
    { seed: SEED, numRuns: 3000 },
  )
})
