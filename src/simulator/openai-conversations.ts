import { type Call, isObject, type JsonObject, type JsonReply, jsonReply } from './call.ts'
import { deleted, listOf } from './kept-objects.ts'
import { idTail } from './random.ts'

export interface KeptConversation {
  object: JsonObject
  readonly items: JsonObject[]
}

/** `POST …/conversations`. */
export function createConversation(call: Call): JsonReply {
  const id = `conv_${idTail(call.idSeed, 48)}`
  const object = { id, object: 'conversation', created_at: call.nowSeconds, metadata: call.body['metadata'] ?? {} }
  call.stored.conversations.keep(id, { object, items: itemsOf(call) })
  return jsonReply(object)
}

export function getConversation(call: Call, id: string): JsonReply {
  return jsonReply(call.stored.conversations.get(id).object)
}

export function updateConversation(call: Call, id: string): JsonReply {
  const kept = call.stored.conversations.get(id)
  kept.object = { ...kept.object, metadata: call.body['metadata'] ?? {} }
  return jsonReply(kept.object)
}

export function deleteConversation(call: Call, id: string): JsonReply {
  call.stored.conversations.delete(id)
  return deleted('conversation.deleted', id)
}

export function addItems(call: Call, id: string): JsonReply {
  const items = itemsOf(call)
  call.stored.conversations.get(id).items.push(...items)
  return listOf(items)
}

export function listItems(call: Call, id: string): JsonReply {
  return listOf(call.stored.conversations.get(id).items)
}

function itemsOf(call: Call): JsonObject[] {
  const items = Array.isArray(call.body['items']) ? call.body['items'].filter(isObject) : []
  return items.map((item, index) => ({
    id: `msg_${idTail(call.idSeed + 7 * (index + 1), 48)}`,
    status: 'completed',
    ...item,
  }))
}
