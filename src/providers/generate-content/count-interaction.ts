/** Counts the input of an interaction: a text, contents of every kind, turns, or the steps of an earlier one. */
import { asObject, asText } from '../read-fields.ts'
import type { PromptCounter } from './count-input.ts'
import { mediaKind } from './media-tokens.ts'

const MEDIA = new Set(['image', 'audio', 'video', 'document'])
/** What stands in no prompt by itself. */
const SILENT = new Set(['type', 'role', 'id', 'call_id', 'mime_type', 'resolution', 'data', 'uri'])

export function addInteractionInput(counter: PromptCounter, value: unknown): void {
  if (typeof value === 'string') counter.addText(value)
  else if (Array.isArray(value)) for (const item of value) addInteractionInput(counter, item)
  else {
    const fields = asObject(value)
    if (fields) addItem(counter, fields)
  }
}

function addItem(counter: PromptCounter, item: Readonly<Record<string, unknown>>): void {
  const type = asText(item['type']) ?? ''
  if (MEDIA.has(type)) addMedia(counter, type, item)
  counter.addTurn()
  for (const name in item) {
    const value = item[name]
    if (SILENT.has(name)) continue
    if (name === 'content' || name === 'text' || name === 'parts' || name === 'summary')
      addInteractionInput(counter, value)
    else if (name === 'signature' && typeof value === 'string') counter.addSignature(value)
    else counter.addSchema(value)
  }
}

function addMedia(counter: PromptCounter, type: string, item: Readonly<Record<string, unknown>>): void {
  const data = asText(item['data'])
  if (data === undefined) {
    counter.addFile(item['uri'])
    return
  }
  const stated = asText(item['mime_type'])?.toLowerCase() ?? ''
  // A type without its MIME type is counted by the dearest reading of it.
  const mimeType = mediaKind(stated) === 'text' && type !== 'document' ? `${type}/` : stated || 'application/pdf'
  counter.addMedia(mimeType, data, asText(item['resolution']) ?? '')
}
