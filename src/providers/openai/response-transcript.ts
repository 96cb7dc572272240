/**
 * What a streamed response has sent so far, so that a cut can close it as the provider would: open items with their
 * parts, finished items as they came. Bounded: beyond 128 KiB it keeps no text, and the ending leaves out what it then
 * does not know (the official client puts the output together from the deltas).
 */
const BYTES_MAX = 128 * 1024

type Fields = Readonly<Record<string, unknown>>

interface OpenPart {
  readonly part: Fields
  text: string
}

interface OpenItem {
  readonly item: Fields
  /** By content_index, or summary_index of reasoning; call arguments and other text of the item itself at -1. */
  readonly parts: Map<number, OpenPart>
}

export class ResponseTranscript {
  /** False once something was left out. */
  whole = true
  readonly #open = new Map<number, OpenItem>()
  readonly #done = new Map<number, Fields>()
  #bytes = 0

  addItem(index: number, item: Fields, size: number): void {
    if (this.#fits(size)) this.#open.set(index, { item, parts: new Map() })
  }

  addPart(index: number, partIndex: number, part: Fields, size: number): void {
    if (this.#fits(size)) this.#open.get(index)?.parts.set(partIndex, { part, text: '' })
  }

  /** `escaped`: the JSON string as it stood, without quotes. */
  addText(index: number, partIndex: number, escaped: Buffer): void {
    if (!this.whole || !this.#fits(escaped.length)) return
    const parts = this.#open.get(index)?.parts
    const part = parts?.get(partIndex)
    if (part) part.text += escaped.toString()
    else parts?.set(partIndex, { part: {}, text: escaped.toString() })
  }

  finishPart(index: number, partIndex: number): void {
    const parts = this.#open.get(index)?.parts
    const part = parts?.get(partIndex)
    if (part && parts) parts.set(partIndex, { part: { ...part.part, closed: true }, text: part.text })
  }

  finishItem(index: number, item: Fields, size: number): void {
    this.#open.delete(index)
    if (this.#fits(size)) this.#done.set(index, item)
  }

  /** Events that close what is open, as [type, fields]; closing moves items to the finished ones. */
  close(): [string, Fields][] {
    const events: [string, Fields][] = []
    for (const [index, open] of [...this.#open].toSorted(([a], [b]) => a - b)) {
      const closed = closeItem(index, open)
      events.push(...closed.events, ['response.output_item.done', { output_index: index, item: closed.item }])
      this.#done.set(index, closed.item)
      this.#open.delete(index)
    }
    return events
  }

  /** Items in order, after `close`. */
  get output(): Fields[] {
    return [...this.#done].toSorted(([a], [b]) => a - b).map(([, item]) => item)
  }

  #fits(size: number): boolean {
    this.#bytes += size
    if (this.#bytes <= BYTES_MAX) return true
    this.whole = false
    this.#open.clear()
    this.#done.clear()
    return false
  }
}

function closeItem(index: number, open: OpenItem): { item: Fields; events: [string, Fields][] } {
  const where = { item_id: open.item['id'], output_index: index }
  switch (open.item['type']) {
    case 'message':
      return closeMessage(open, where)
    case 'reasoning':
      return closeReasoning(open, where)
    case 'function_call':
      return closeCall(open, where, 'response.function_call_arguments.done', 'arguments')
    case 'custom_tool_call':
      return closeCall(open, where, 'response.custom_tool_call_input.done', 'input')
    default:
      return { item: { ...open.item, status: 'incomplete' }, events: [] }
  }
}

function closeMessage(open: OpenItem, where: Fields): { item: Fields; events: [string, Fields][] } {
  const events: [string, Fields][] = []
  const content: Fields[] = []
  for (const [contentIndex, { part, text }] of inOrder(open)) {
    const refusal = part['type'] === 'refusal'
    const { closed, ...fields } = part
    const full = refusal
      ? { ...fields, refusal: decoded(text) }
      : { ...fields, type: 'output_text', text: decoded(text) }
    content.push(full)
    if (closed === true) continue
    const at = { ...where, content_index: contentIndex }
    if (refusal) events.push(['response.refusal.done', { ...at, refusal: decoded(text) }])
    else events.push(['response.output_text.done', { ...at, text: decoded(text), logprobs: [] }])
    events.push(['response.content_part.done', { ...at, part: full }])
  }
  return { item: { ...open.item, status: 'incomplete', content }, events }
}

function closeReasoning(open: OpenItem, where: Fields): { item: Fields; events: [string, Fields][] } {
  const events: [string, Fields][] = []
  const summary: Fields[] = []
  const content: Fields[] = []
  for (const [partIndex, { part, text }] of inOrder(open)) {
    const { closed, ...fields } = part
    if (part['type'] === 'reasoning_text') {
      content.push({ ...fields, text: decoded(text) })
      if (closed !== true)
        events.push(['response.reasoning_text.done', { ...where, content_index: partIndex, text: decoded(text) }])
      continue
    }
    const full = { ...fields, type: 'summary_text', text: decoded(text) }
    summary.push(full)
    if (closed === true) continue
    const at = { ...where, summary_index: partIndex }
    events.push(['response.reasoning_summary_text.done', { ...at, text: decoded(text) }])
    events.push(['response.reasoning_summary_part.done', { ...at, part: full }])
  }
  const item = { ...open.item, status: 'incomplete', summary, ...(content.length > 0 ? { content } : {}) }
  return { item, events }
}

function closeCall(
  open: OpenItem,
  where: Fields,
  type: string,
  name: string,
): { item: Fields; events: [string, Fields][] } {
  const own = open.parts.get(-1)
  const text = decoded(own?.text ?? '')
  const event: [string, Fields] = [type, { ...where, name: open.item['name'], [name]: text }]
  return {
    item: { ...open.item, status: 'incomplete', [name]: text },
    events: own?.part['closed'] === true ? [] : [event],
  }
}

function inOrder(open: OpenItem): [number, OpenPart][] {
  return [...open.parts].toSorted(([a], [b]) => a - b)
}

/** Text that was cut out of JSON strings, back to what it says. */
function decoded(escaped: string): string {
  try {
    return JSON.parse(`"${escaped}"`) as string
  } catch {
    return escaped
  }
}
