import { expect, test } from 'vitest'
import { isRouter, isSameModel } from '../../../src/core/answered-model.ts'

test.each([
  ['gpt-4o', 'gpt-4o-2024-08-06', true],
  ['gpt-4o', 'gpt-4o-mini-2024-07-18', false],
  ['gpt-5', 'gpt-5-nano', false],
  ['openai/gpt-4.1', 'gpt-4.1-2025-04-14', true],
  ['anthropic/claude-haiku-4.5', 'claude-haiku-4.5', true],
  ['claude-3-5-haiku-latest', 'claude-3-5-haiku-20241022', true],
  ['claude-sonnet-4-5', 'claude-sonnet-4-5@20250929', true],
  ['deepseek/deepseek-chat:free', 'deepseek/deepseek-chat', true],
  ['Llama-3.3-70B', 'meta/llama-3.3-70b', true],
  ['accounts/fireworks/models/qwen3', 'qwen3', true],
  ['prod-chat', 'gpt-5-mini', false],
  ['openrouter/auto', 'anthropic/claude-sonnet-4', false],
])('asked %s, answered %s: the same is %s', (asked, answered, same) => {
  expect(isSameModel(asked, answered)).toBe(same)
})

test.each([
  ['openrouter/auto', true],
  ['auto', true],
  ['model-router', true],
  ['switchpoint/router', true],
  ['gpt-5-mini', false],
  ['automatic-1', false],
  ['autopilot', false],
])('%s is a router: %s', (model, router) => {
  expect(isRouter(model)).toBe(router)
})
