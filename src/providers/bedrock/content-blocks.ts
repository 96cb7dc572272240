/**
 * What content blocks put into the prompt: those of Converse, which Nova's own body shares. Bytes of media and documents
 * are base64 in the JSON; text in them is decoded and counted, pages and frames are not seen.
 * Source: docs.aws.amazon.com, API_runtime_ContentBlock.
 */
import type { InputCounter, MediaCosts } from '../input-counter.ts'
import { claudeMedia } from '../messages/media-cost.ts'
import { asArray, asObject, asText } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

/**
 * The most that an image costs at the others: Llama 3.2 takes four tiles of 1,601 tokens (and one of the whole), Pixtral
 * and Nova stay below. Sources: Meta's model card; mistral.ai, "Pixtral"; docs.aws.amazon.com/nova, "Image understanding".
 */
const IMAGE_TOKENS = 8_005
const TEXT_FORMATS = new Set(['txt', 'md', 'csv', 'html'])
const CITATIONS_TOKENS = 640
const BLOCK_TOKENS = 8

const OTHERS: MediaCosts = { image: () => IMAGE_TOKENS }

export function bedrockMedia(model: string): MediaCosts {
  return model.includes('anthropic.') ? claudeMedia(model) : OTHERS
}

/** Of `messages`, `system`, or a tool's result. Strings are texts. */
export function addBlocks(counter: InputCounter, value: unknown, model: string): void {
  if (typeof value === 'string') counter.addText(value)
  for (const block of asArray(value)) {
    const fields = asObject(block)
    if (typeof block === 'string') counter.addText(block)
    else if (fields && fields['content'] !== undefined && fields['role'] !== undefined)
      addBlocks(counter, fields['content'], model)
    else if (fields) for (const name in fields) addMember(counter, name, fields[name], model)
  }
}

function addMember(counter: InputCounter, name: string, value: unknown, model: string): void {
  const fields = asObject(value) ?? {}
  switch (name) {
    case 'text':
      if (typeof value === 'string') counter.addText(value)
      return
    case 'image':
      addImage(counter, fields)
      return
    case 'document':
      addDocument(counter, fields)
      return
    case 'audio':
      addAudio(counter, fields)
      return
    case 'video':
      counter.unseen = true
      return
    case 'cachePoint':
      counter.cached = true
      if (fields['ttl'] === '1h') counter.cachedForAnHour = true
      return
    case 'toolResult':
      counter.addOverhead(BLOCK_TOKENS)
      addBlocks(counter, fields['content'], model)
      return
    case 'guardContent':
      addGuarded(counter, fields, model)
      return
    default:
      // toolUse, json, reasoningContent, searchResult, citationsContent, and what is to come: names and values.
      counter.addOverhead(BLOCK_TOKENS)
      counter.addSchema(value)
  }
}

/** `image: { format, source: { bytes } }`; in S3 it is of the same size. */
function addImage(counter: InputCounter, fields: Fields): void {
  const { source } = fields
  if (source !== undefined) counter.addImage(asText(asObject(source)?.['bytes']) ?? '')
}

function addAudio(counter: InputCounter, fields: Fields): void {
  const data = asText(asObject(fields['source'])?.['bytes'])
  if (data === undefined) counter.unseen = true
  else counter.addContent({ type: 'input_audio', input_audio: { data, format: fields['format'] } })
}

function addDocument(counter: InputCounter, fields: Fields): void {
  const source = asObject(fields['source'])
  const bytes = asText(source?.['bytes'])
  counter.addOverhead(BLOCK_TOKENS)
  counter.addContent(fields['name'])
  counter.addContent(fields['context'])
  if (asObject(fields['citations'])?.['enabled'] === true) counter.addOverhead(CITATIONS_TOKENS)
  if (source?.['text'] !== undefined) counter.addContent(source['text'])
  else if (source?.['content'] !== undefined) counter.addContent(source['content'])
  else if (bytes !== undefined && TEXT_FORMATS.has(String(fields['format'])))
    counter.addText(Buffer.from(bytes, 'base64').toString())
  else if (bytes !== undefined) counter.addContent({ type: 'document', source: { type: 'base64', data: bytes } })
  else counter.unseen = true
}

/** `guardContent: { text: { text, qualifiers } }` or `{ image }`. */
function addGuarded(counter: InputCounter, fields: Fields, model: string): void {
  const text = asObject(fields['text'])?.['text']
  if (text !== undefined) counter.addContent(text)
  if (fields['image'] !== undefined) addMember(counter, 'image', fields['image'], model)
}
