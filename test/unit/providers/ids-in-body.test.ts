import { describe, expect, test } from 'vitest'
import { idsInBody } from '../../../src/providers/ids-in-body.ts'

describe('ids of objects at the provider are found wherever a body names them', () => {
  test.each([
    ['a batch’s file', { input_file_id: 'file-1' }, ['file-1']],
    ['Mistral’s files', { input_files: ['a', 'b'] }, ['a', 'b']],
    [
      'a file of a message',
      { input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }] },
      ['file-1'],
    ],
    ['an image of a message', { input: [{ content: [{ type: 'input_image', file_id: 'file-2' }] }] }, ['file-2']],
    ['a file of a chat', { messages: [{ content: [{ type: 'file', file: { file_id: 'file-3' } }] }] }, ['file-3']],
    [
      'Anthropic’s document',
      { messages: [{ content: [{ type: 'document', source: { type: 'file', file_id: 'f' } }] }] },
      ['f'],
    ],
    [
      'a file that fills in a kept prompt, not a word of it',
      { prompt: { id: 'pmpt_1', variables: { file_id: 'a word', doc: { type: 'input_file', file_id: 'file-9' } } } },
      ['file-9'],
    ],
    ['a tool’s stores', { tools: [{ type: 'file_search', vector_store_ids: ['vs_1', 'vs_2'] }] }, ['vs_1', 'vs_2']],
    ['a container by id', { tools: [{ type: 'code_interpreter', container: 'cntr_1' }] }, ['cntr_1']],
    ['a new container’s files', { tools: [{ container: { type: 'auto', file_ids: ['file-4'] } }] }, ['file-4']],
    ['Anthropic’s container', { container: { id: 'container_1' } }, ['container_1']],
    [
      'what a call goes on from',
      { previous_response_id: 'resp_1', conversation: { id: 'conv_1' } },
      ['resp_1', 'conv_1'],
    ],
    ['an earlier item', { input: [{ type: 'item_reference', id: 'msg_1' }] }, ['msg_1']],
    [
      'a thread’s tools',
      { tool_resources: { code_interpreter: { file_ids: ['f1'] }, file_search: { vector_store_ids: ['v'] } } },
      ['f1', 'v'],
    ],
    ['an attachment', { messages: [{ attachments: [{ file_id: 'f2', tools: [] }] }] }, ['f2']],
    [
      'Google’s cache and file',
      {
        cachedContent: 'cachedContents/c',
        contents: [
          { parts: [{ fileData: { fileUri: 'https://generativelanguage.googleapis.com/v1beta/files/abc' } }] },
        ],
      },
      ['c', 'abc'],
    ],
    ['one that stands twice, once', { file_id: 'f', more: [{ file_id: 'f' }] }, ['f']],
  ])('%s', (_name, body, ids) => {
    expect(idsInBody(body)).toEqual(ids)
  })
})

describe('words that callers and models write are no references', () => {
  test.each([
    ['a tool call’s input', { messages: [{ content: [{ type: 'tool_use', input: { file_id: 'word' } }] }] }],
    ['arguments', { tool_calls: [{ function: { arguments: { file_id: 'word' } } }] }],
    ['a schema', { tools: [{ function: { parameters: { properties: { file_id: 'string' } } } }] }],
    ['metadata', { metadata: { file_id: 'word' } }],
    [
      'Google’s function calls',
      {
        contents: [
          {
            parts: [
              { functionCall: { args: { file_id: 'word' } } },
              { functionResponse: { response: { file_id: 'x' } } },
            ],
          },
        ],
      },
    ],
    ['text', { input: 'file_id: word', messages: [{ content: '{"file_id":"word"}' }] }],
    ['nothing', null],
    ['empty ones', { file_id: '', file_ids: [], conversation: null }],
  ])('%s', (_name, body) => {
    expect(idsInBody(body)).toEqual([])
  })
})
