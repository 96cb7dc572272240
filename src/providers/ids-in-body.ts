/**
 * Ids of objects at the provider that a JSON body names, wherever they stand in it. What callers and models write
 * themselves (tool arguments, schemas, metadata) is not looked into: a word there is no reference.
 */
import { googleFileId } from './google-file-id.ts'

type Fields = Readonly<Record<string, unknown>>

/** Members whose strings, or lists of strings, are ids. */
const ID_MEMBERS: ReadonlySet<string> = new Set([
  'file_id',
  'file_ids',
  'input_file_id',
  'input_files',
  'output_file_id',
  'training_file',
  'validation_file',
  'part_ids',
  'vector_store_id',
  'vector_store_ids',
  'assistant_id',
  'thread_id',
  'container',
  'container_id',
  'conversation',
  'conversation_id',
  'previous_response_id',
  'batch_id',
])
/** Google's, with their collection (and project) before the id. */
const NAME_MEMBERS: ReadonlySet<string> = new Set([
  'cachedContent',
  'cached_content',
  'fileSearchStoreNames',
  'file_search_store_names',
  'ragCorpus',
  'rag_corpus',
])
/** Members whose value is a file's address at Google. Others are no objects of an account. */
const URI_MEMBERS = new Set(['fileUri', 'file_uri'])

const OPAQUE = new Set([
  'parameters',
  'parametersJsonSchema',
  'input_schema',
  'schema',
  'json_schema',
  'responseSchema',
  'responseJsonSchema',
  'metadata',
  'arguments',
  'args',
  'properties',
])
const TOOL_USE = /tool_use$/

/** Each id once, in the order in which they stand. Throws InvalidCall for an address that hides which file it means. */
export function idsInBody(body: unknown): readonly string[] {
  const ids = new Set<string>()
  collect(body, ids)
  return [...ids]
}

function collect(value: unknown, ids: Set<string>): void {
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null) collect(item, ids)
    return
  }
  if (typeof value !== 'object' || value === null) return
  const fields = value as Fields
  const { type } = fields
  if (type === 'item_reference' && typeof fields['id'] === 'string') ids.add(fields['id'])
  const toolUse = typeof type === 'string' && TOOL_USE.test(type)
  for (const name in fields) {
    const member = fields[name]
    if (ID_MEMBERS.has(name)) collectIds(member, ids)
    else if (NAME_MEMBERS.has(name)) {
      for (const one of Array.isArray(member) ? member : [member])
        if (typeof one === 'string' && one !== '') ids.add(one.slice(one.lastIndexOf('/') + 1))
    } else if (URI_MEMBERS.has(name)) {
      const file = typeof member === 'string' ? googleFileId(member) : undefined
      if (file !== undefined) ids.add(file)
    } else if (name === 'variables') collectValues(member, ids)
    else if (OPAQUE.has(name) || (toolUse && name === 'input') || name === 'functionResponse') continue
    else if (typeof member === 'object') collect(member, ids)
  }
}

/** What fills in a template kept at the provider: the names are the template's own, a value may be a file. */
function collectValues(variables: unknown, ids: Set<string>): void {
  if (typeof variables !== 'object' || variables === null) return
  for (const value of Object.values(variables)) collect(value, ids)
}

/** A string, a list of them, or objects with an id of their own: {id}, {type: 'auto', file_ids}. */
function collectIds(value: unknown, ids: Set<string>): void {
  if (typeof value === 'string') {
    if (value !== '') ids.add(value)
  } else if (Array.isArray(value)) {
    for (const item of value) collectIds(item, ids)
  } else if (typeof value === 'object' && value !== null) {
    const { id } = value as Fields
    if (typeof id === 'string') ids.add(id)
    collect(value, ids)
  }
}
