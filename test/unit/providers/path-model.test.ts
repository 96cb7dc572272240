import { describe, expect, test } from 'vitest'
import { InvalidCall } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { SOURCE } from '../../support/call-source.ts'

function modelOf(path: string, body: object): string {
  const metering = providers.get('openai')?.match('POST', path)?.operation.metering
  if (!metering) throw new Error(path)
  return metering.readCall(Buffer.from(JSON.stringify({ input: 'x', ...body })), { ...SOURCE, path }).model
}

describe('the model that the path names is the one that serves, whatever the body says', () => {
  test.each([
    ['/openai/deployments/prod-4o/chat/completions', {}, 'prod-4o'],
    ['/openai/deployments/prod-4o/chat/completions', { model: 'cheap' }, 'prod-4o'],
    ['/openai/deployments/my%20own/embeddings', {}, 'my own'],
    ['/openai/deployments/old/completions', { model: null }, 'old'],
    ['/v1/engines/davinci/completions', { prompt: 'x', model: 'cheap' }, 'davinci'],
    ['/engines/llama.cpp/v1/chat/completions', { model: 'ai/smollm2' }, 'ai/smollm2'],
    ['/hf-inference/models/google/gemma-2b/v1/chat/completions', { model: 'tgi' }, 'google/gemma-2b'],
    ['/v1/prompts/pp-weather/completions', { variables: {} }, 'pp-weather'],
    ['/v1/prompts/pp-weather/completions', { model: 'gpt-5' }, 'gpt-5'],
    ['/models/chat/completions', { model: 'grok-4' }, 'grok-4'],
    ['/v1/chat/completions', { model: 'gpt-5' }, 'gpt-5'],
    ['/api/v1/chat/completions', { models: ['a/b', 'c/d'] }, 'a/b'],
    ['/api/v1/chat/completions', { models: ['a/b'], model: 'c/d' }, 'c/d'],
    ['/api/v1/responses', { models: ['a/b'], model: null }, 'a/b'],
  ])('%s %j', (path, body, model) => {
    expect(modelOf(path, body)).toBe(model)
  })

  test.each([
    ['/openai/deployments/%ff/chat/completions', {}],
    [`/openai/deployments/${'m'.repeat(257)}/chat/completions`, {}],
    ['/openai/deployments//chat/completions', {}],
    ['/v1/chat/completions', {}],
    ['/v1/chat/completions', { models: [] }],
    ['/v1/chat/completions', { models: [{ model: 'a/b' }] }],
    ['/v1/responses', { models: 'a/b' }],
  ])('none that can be read is refused: %s', (path, body) => {
    expect(() => modelOf(path, body)).toThrow(InvalidCall)
  })
})

describe('a call for audio whose body and query name two models is refused, since only one of them is served', () => {
  const modelWith = (path: string, query: string, body: object): string => {
    const metering = providers.get('openai')?.match('POST', path)?.operation.metering
    if (!metering) throw new Error(path)
    return metering.readCall(Buffer.from(JSON.stringify(body)), { ...SOURCE, path, query }).model
  }

  test.each([
    ['/v1/speak', '?model=dear', { text: 'x' }, 'dear'],
    ['/v1/speak', '?model=dear', { text: 'x', model: 'dear' }, 'dear'],
    ['/v1/listen', '?model=dear', { url: 'https://example.com/a.mp3' }, 'dear'],
    ['/v1/audio/speech', '', { input: 'x', model: 'tts-1' }, 'tts-1'],
  ])('%s%s %j', (path, query, body, model) => {
    expect(modelWith(path, query, body)).toBe(model)
  })

  test.each([
    ['/v1/speak', '?model=dear', { text: 'x', model: 'cheap' }],
    ['/v1/listen', '?model=dear', { url: 'https://example.com/a.mp3', model: 'cheap' }],
    ['/v1/listen', '?model=cheap&model=dear', { url: 'https://example.com/a.mp3' }],
  ])('refused: %s%s %j', (path, query, body) => {
    expect(() => modelWith(path, query, body)).toThrow(InvalidCall)
  })
})
