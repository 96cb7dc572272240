import { describe, expect, test } from 'vitest'
import { providers } from '../../../src/providers/registry.ts'

function match(format: 'openai' | 'anthropic', method: string, path: string): string {
  const found = providers.get(format)?.match(method, path)
  if (!found) return 'none'
  const { kind, endpoint, metering } = found.operation
  expect(metering === undefined).toBe(kind !== 'metered')
  return found.objectId === undefined ? `${kind} ${endpoint}` : `${kind} ${endpoint} ${found.objectId}`
}

describe('a path is known by its last segments, whatever stands before them', () => {
  test.each([
    ['openai', 'POST', '/v1/chat/completions', 'metered chat'],
    ['openai', 'POST', '/openai/deployments/prod/chat/completions?api-version=2024-02-01', 'metered chat'],
    ['openai', 'POST', '/chat/completions', 'metered chat'],
    ['openai', 'POST', '/v1/completions', 'metered completions'],
    ['openai', 'POST', '/v1/responses', 'metered responses'],
    ['openai', 'POST', '/openai/v1/embeddings', 'metered embeddings'],
    ['openai', 'POST', '/v1/images/generations', 'metered images'],
    ['openai', 'POST', '/openai/deployments/gpt-image/images/edits?api-version=2025-04-01', 'metered images'],
    ['openai', 'POST', '/v1/images/variations', 'metered images'],
    ['openai', 'POST', '/api/v1/images', 'metered images'],
    ['openai', 'POST', '/v1/audio/speech', 'metered speech'],
    ['openai', 'POST', '/v1/tts', 'metered speech'],
    ['openai', 'POST', '/v1/speak?model=aura', 'metered speech'],
    ['openai', 'POST', '/v1/audio/transcriptions', 'metered transcriptions'],
    ['openai', 'POST', '/openai/v1/audio/translations', 'metered transcriptions'],
    ['openai', 'POST', '/v1/stt', 'metered transcriptions'],
    ['openai', 'POST', '/v1/listen?model=nova-3', 'metered transcriptions'],
    ['openai', 'POST', '/v1/moderations', 'free moderations'],
    ['openai', 'GET', '/v1/responses/resp_1', 'free responses resp_1'],
    ['openai', 'GET', '/v1/responses/resp_1?stream=true', 'free responses resp_1'],
    ['openai', 'DELETE', '/v1/responses/resp_1', 'free responses resp_1'],
    ['openai', 'POST', '/v1/responses/resp_1/cancel', 'free responses resp_1'],
    ['openai', 'GET', '/v1/responses/resp_1/input_items?limit=5', 'free responses resp_1'],
    ['openai', 'GET', '/v1/chat/completions/chatcmpl-1', 'free chat chatcmpl-1'],
    ['openai', 'POST', '/v1/chat/completions/chatcmpl-1', 'free chat chatcmpl-1'],
    ['openai', 'DELETE', '/v1/chat/completions/chatcmpl-1', 'free chat chatcmpl-1'],
    ['openai', 'GET', '/v1/chat/completions/chatcmpl-1/messages', 'free chat chatcmpl-1'],
    ['openai', 'GET', '/v1/chat/completions', 'free chat'],
    ['openai', 'GET', '/v1/responses', 'free responses'],
    ['openai', 'POST', '/v1/responses/compact', 'metered responses'],
    ['openai', 'POST', '/backend-api/codex/responses/compact', 'metered responses'],
    ['openai', 'POST', '/v1/responses/input_tokens', 'free count_tokens'],
    ['openai', 'POST', '/v1/agent', 'metered responses'],
    ['openai', 'POST', '/tokenize', 'free count_tokens'],
    ['openai', 'POST', '/detokenize', 'free count_tokens'],
    ['openai', 'POST', '/v1/files', 'free files'],
    ['openai', 'POST', '/openai/files?api-version=2024-10-21', 'free files'],
    ['openai', 'GET', '/v1/files/file-1/content', 'free files file-1'],
    ['openai', 'GET', '/v1/vector_stores/vs_1/files/file-1', 'free files vs_1'],
    ['openai', 'POST', '/v1/conversations/conv_1/items', 'free responses conv_1'],
    ['openai', 'POST', '/v1/threads/runs', 'metered responses'],
    ['openai', 'POST', '/openai/threads/thread_1/runs?api-version=2024-05-01-preview', 'metered responses'],
    ['openai', 'POST', '/v1/threads/thread_1/runs/run_1', 'free responses thread_1'],
    ['openai', 'POST', '/v1/threads/thread_1/runs/run_1/submit_tool_outputs', 'free responses thread_1'],
    ['openai', 'GET', '/v1/threads/thread_1/runs', 'free responses thread_1'],
    ['openai', 'POST', '/v1/evals/eval_1/runs', 'unmetered unmetered eval_1'],
    ['openai', 'GET', '/v1/threads/thread_1/runs/run_1/steps/step_1', 'free responses thread_1'],
    ['openai', 'GET', '/v1/batch/jobs/8c2f', 'free batches 8c2f'],
    ['openai', 'POST', '/v1/batches/batch_1:cancel', 'free batches batch_1'],
    ['openai', 'POST', '/v1/batches', 'metered batches'],
    ['openai', 'POST', '/openai/batches?api-version=2024-10-21', 'metered batches'],
    ['openai', 'POST', '/v1/batch/jobs', 'metered batches'],
    ['openai', 'POST', '/v1/batches/batch_1/requests', 'metered batches'],
    ['anthropic', 'POST', '/v1/messages/batches', 'metered batches'],
    ['openai', 'POST', '/v1/videos', 'unmetered unmetered'],
    ['openai', 'POST', '/v1/fine_tuning/jobs', 'unmetered unmetered'],
    ['openai', 'POST', '/v1/containers', 'unmetered files'],
    ['anthropic', 'POST', '/v1/messages', 'metered messages'],
    ['anthropic', 'POST', '/anthropic/v1/messages?beta=true', 'metered messages'],
    ['anthropic', 'POST', '/v1/messages/count_tokens', 'free count_tokens'],
    ['anthropic', 'POST', '/v1/complete', 'metered completions'],
  ] as const)('%s %s %s', (format, method, path, expected) => {
    expect(match(format, method, path)).toBe(expected)
  })
})

describe('what is not metered is not known', () => {
  test.each([
    ['openai', 'POST', '/v1/responses/resp_1'],
    ['openai', 'POST', '/v1/responses/compact/x'],
    ['openai', 'POST', '/v1/responses/resp_1/input_items'],
    ['openai', 'DELETE', '/v1/responses/resp_1/input_items'],
    ['openai', 'GET', '/v1/responses/..'],
    ['openai', 'GET', '/v1/responses/%2e%2e'],
    ['openai', 'GET', '/v1/responses/resp_1%2f..%2fresp_2'],
    ['openai', 'GET', '/v1/responses/'],
    ['openai', 'POST', '/v1/chat%2fcompletions'],
    ['openai', 'POST', '/v1/images/generations/x'],
    ['openai', 'GET', '/v1/images/generations'],
    ['openai', 'POST', '/v1/audio/voices'],
    ['openai', 'POST', '/v1/realtime/client_secrets'],
    ['openai', 'POST', '/v1/realtime/sessions'],
    ['openai', 'POST', '/v1/realtime/calls'],
    ['openai', 'GET', '/v1/moderations'],
    ['openai', 'POST', '/v1/agents/a1/files'],
    ['openai', 'GET', '/v1/files/file-1/content/more'],
    ['openai', 'GET', '/v1/vector_stores/vs_1/files/..'],
    ['openai', 'GET', '/v1/vector_stores/%2e%2e/files/file-1'],
    ['openai', 'GET', '/v1/models'],
    ['openai', 'POST', '/v1/tokenize'],
    ['openai', 'POST', '/v1/messages'],
    ['openai', 'PUT', '/v1/chat/completions'],
    ['anthropic', 'POST', '/v1/threads/thread_1/messages'],
    ['anthropic', 'GET', '/v1/messages'],
    ['anthropic', 'POST', '/complete'],
  ] as const)('%s %s %s', (format, method, path) => {
    expect(match(format, method, path)).toBe('none')
  })
})
