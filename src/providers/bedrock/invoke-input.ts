/** What the body of an `invoke` puts into the prompt, and what it is billed by, by the words it is in. */
import type { UnitCounts } from '../../core/usage.ts'
import { InputCounter } from '../input-counter.ts'
import type { CallRequest } from '../provider.ts'
import { asArray, asObject, readWholeNumber } from '../read-fields.ts'
import { readRerankInput } from '../rerank-input.ts'
import { addBlocks, bedrockMedia } from './content-blocks.ts'
import type { Family } from './families.ts'

type Fields = Readonly<Record<string, unknown>>

const HEAD_TOKENS = 64
const MESSAGE_TOKENS = 8
const TOOLS_TOKENS = 1_200
/** Members whose strings are base64 of something that is no text. */
const BINARY =
  /^(bytes|images?|inputImage|referenceImage|init_image|mask|maskImage|conditionImage|data|base64String|mediaSource)$/
/** Members that set how an answer is made, and are in no prompt. */
const SETTINGS =
  /^(textGenerationConfig|inferenceConfig|imageGenerationConfig|embeddingConfig|input_type|truncate|schemaVersion|taskType|modelVersion|stop|stop_sequences)$/
export interface InvokeInput {
  readonly input: CallRequest['input']
  readonly unseen: boolean
  readonly units?: UnitCounts
  readonly billedBy?: CallRequest['billedBy']
}

export function readInvokeInput(family: Family, fields: Fields, model: string, answers: number): InvokeInput {
  if (family.name === 'rerank') {
    const { input, searches } = readRerankInput(fields)
    return { input, unseen: false, units: { searches }, billedBy: ['searches'] }
  }
  const counter = new InputCounter(bedrockMedia(model))
  counter.addOverhead(HEAD_TOKENS)
  switch (family.name) {
    case 'nova':
      addNova(counter, fields, model)
      break
    case 'chat':
      addChat(counter, fields)
      break
    case 'other':
      if (fields['messages'] === undefined) addLoosely(counter, fields, '')
      else addChat(counter, fields)
      break
    default:
      addLoosely(counter, fields, '')
  }
  const read = { input: counter.estimate(), unseen: counter.unseen || watches(family) }
  if (family.name === 'images') return { ...read, units: { images: answers }, billedBy: ['images'] }
  if (family.name === 'embedding') return { ...read, ...imagesEmbedded(fields) }
  return read
}

/** `messages-v1`: Converse's blocks, and its tools. */
function addNova(counter: InputCounter, fields: Fields, model: string): void {
  counter.addOverhead(MESSAGE_TOKENS * asArray(fields['messages']).length)
  addBlocks(counter, fields['system'], model)
  addBlocks(counter, fields['messages'], model)
  const tools = asObject(fields['toolConfig'])
  if (tools) {
    counter.addOverhead(TOOLS_TOKENS)
    counter.addSchema(tools)
  }
}

function addChat(counter: InputCounter, fields: Fields): void {
  counter.addOverhead(MESSAGE_TOKENS * asArray(fields['messages']).length)
  counter.addContent(fields['system'])
  counter.addContent(fields['messages'])
  for (const name of ['tools', 'response_format', 'documents'])
    if (fields[name] !== undefined && fields[name] !== null) counter.addSchema(fields[name])
}

/** Every text that a body has: prompts, histories, documents, whatever they are called. */
function addLoosely(counter: InputCounter, value: unknown, name: string): void {
  if (typeof value === 'string') {
    if (BINARY.test(name)) counter.addImage(value)
    else counter.addText(value)
  } else if (Array.isArray(value)) {
    for (const item of value) addLoosely(counter, item, name)
  } else if (typeof value === 'object' && value !== null) {
    for (const [member, inner] of Object.entries(value)) if (!SETTINGS.test(member)) addLoosely(counter, inner, member)
  }
}

/** Pegasus is asked about a video, whose length nothing here says. */
function watches(family: Family): boolean {
  return family.name === 'pegasus'
}

function imagesEmbedded(fields: Fields): Pick<InvokeInput, 'units' | 'billedBy'> {
  const images = fields['inputImage'] === undefined ? asArray(fields['images']).length : 1
  return images > 0 ? { units: { images }, billedBy: ['images'] } : {}
}

/** How many answers or images the body asks for. Throws InvalidCall. */
export function answersOf(family: Family, fields: Fields): number {
  if (family.answers === undefined) return 1
  const config = family.name === 'images' ? (asObject(fields['imageGenerationConfig']) ?? {}) : fields
  const asked = readWholeNumber(config, family.answers, 1)
  return asked ?? (family.name === 'images' ? (readWholeNumber(fields, 'samples', 1) ?? 1) : 1)
}
