/** Assistants and threads: what a run reads. Kept as everything that is stored here. */
import { type Call, contentText, isObject, type JsonObject, type JsonReply, jsonReply } from './call.ts'
import { countInput } from './count-input.ts'
import { ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** `POST …/assistants`. */
export function createAssistant(call: Call): JsonReply {
  const { body, nowSeconds } = call
  const { model } = body
  if (typeof model !== 'string') throw new ProviderError(400, "Missing required parameter: 'model'.", null, 'model')
  const id = `asst_${idTail(call.idSeed, 24)}`
  const assistant = { id, object: 'assistant', created_at: nowSeconds, tools: [], instructions: null, ...body }
  call.stored.keep(id, { response: assistant, tokens: countInput(body['instructions']) })
  return jsonReply(assistant)
}

/** `POST …/threads`. */
export function createThread(call: Call): JsonReply {
  return jsonReply(newThread(call, call.body))
}

export function newThread(call: Call, wish: JsonObject): JsonObject {
  const id = `thread_${idTail(call.idSeed + 1, 24)}`
  const thread = { id, object: 'thread', created_at: call.nowSeconds, metadata: {}, tool_resources: {} }
  call.stored.keep(id, { response: thread, tokens: 0 })
  call.stored.keep(messagesOf(id), { response: { data: [] }, tokens: 0 })
  addMessages(call, id, wish['messages'])
  return thread
}

/** `DELETE …/threads/:id`: with its runs, which are found no more. */
export function deleteThread(call: Call, id: string): JsonReply {
  const thread = call.stored.get(id)
  if (thread === undefined) throw new ProviderError(404, `No thread found with id '${id}'.`)
  const runs = thread.response['runs']
  for (const run of Array.isArray(runs) ? runs : []) call.stored.delete(String(run))
  call.stored.delete(id)
  call.stored.delete(messagesOf(id))
  return jsonReply({ id, object: 'thread.deleted', deleted: true })
}

/** `POST …/threads/:id/messages`. */
export function createMessage(call: Call, thread: string): JsonReply {
  return jsonReply(addMessages(call, thread, [call.body])[0])
}

/** `GET …/threads/:id/messages`: the newest first. */
export function listMessages(call: Call, thread: string): JsonReply {
  const data = messagesIn(call, thread).toReversed()
  return jsonReply({ object: 'list', data, first_id: null, last_id: null, has_more: false })
}

/** `messages`: as the body has them; what is no list adds none. */
export function addMessages(call: Call, thread: string, messages: unknown): readonly JsonObject[] {
  const wished: readonly unknown[] = Array.isArray(messages) ? messages : []
  const made = wished.map((message, index) => messageOf(call, thread, isObject(message) ? message : {}, index))
  for (const message of made) keepMessage(call, thread, message)
  return made
}

function messageOf(call: Call, thread: string, { role = 'user', content = '' }: JsonObject, index: number): JsonObject {
  return {
    id: `msg_${idTail(call.idSeed + 17 * (index + 2), 24)}`,
    object: 'thread.message',
    created_at: call.nowSeconds,
    assistant_id: null,
    thread_id: thread,
    run_id: null,
    role,
    content: [{ type: 'text', text: { value: contentText(content), annotations: [] } }],
    attachments: [],
    metadata: {},
  }
}

export function keepMessage(call: Call, thread: string, message: JsonObject): void {
  const data = [...messagesIn(call, thread), message]
  call.stored.keep(messagesOf(thread), { response: { data }, tokens: countInput(data.map(textOf)) })
}

/** Tokens of all that is said in it. */
export function tokensIn(call: Call, thread: string): number {
  messagesIn(call, thread)
  return call.stored.get(messagesOf(thread))?.tokens ?? 0
}

/** The last word of a thread, which may carry controls. */
export function lastText(call: Call, thread: string): string {
  const last = messagesIn(call, thread).at(-1)
  return last === undefined ? '' : textOf(last)
}

function messagesIn(call: Call, thread: string): readonly JsonObject[] {
  const found = call.stored.get(messagesOf(thread))
  if (found === undefined) throw new ProviderError(404, `No thread found with id '${thread}'.`)
  return found.response['data'] as readonly JsonObject[]
}

function messagesOf(thread: string): string {
  return `messages of ${thread}`
}

function textOf(message: JsonObject): string {
  const [part] = message['content'] as readonly { readonly text: { readonly value: string } }[]
  return part?.text.value ?? ''
}
