import { type Call, isObject, type JsonObject } from './call.ts'
import { endlessTokens, textTokens, tokensOf } from './generate-text.ts'
import { createRandom, idTail, type Random } from './random.ts'
import { schemaValue } from './schema-value.ts'

/** What the model says, before any format puts it into words of its own. */
export interface Choice {
  readonly reasoningTokens: number
  readonly parts: readonly Part[]
  readonly finish: 'stop' | 'length' | 'tools'
  /** Reasoning included. */
  readonly outputTokens: number
}

export type Part = TextPart | ToolPart

export interface TextPart {
  readonly type: 'text'
  /** Never ends where the call asked for that. */
  readonly tokens: Iterable<string>
}

export interface ToolPart {
  readonly type: 'tool'
  readonly name: string
  /** Without the format's prefix. */
  readonly id: string
  /** Of the arguments, as JSON text. */
  readonly tokens: readonly string[]
}

/** What the format read from the call. */
export interface Wish {
  readonly stream: boolean
  /** Output tokens, reasoning included; undefined: no limit. */
  readonly limit: number | undefined
  readonly reasoning: boolean
  readonly tools: readonly Tool[]
  /** The call waits for the model to use a tool, rather than for its words. */
  readonly useTools: boolean
  /** Undefined: text. */
  readonly schema: JsonObject | undefined
}

export interface Tool {
  readonly name: string
  readonly schema: JsonObject
}

/** Makes the choices of an answer: the same for the same seed, prompt and wish. */
export function generateChoices(call: Call, wish: Wish, count: number): Choice[] {
  const choices: Choice[] = []
  for (let i = 0; i < count; i++) choices.push(generateChoice(call, wish, createRandom(call.seed + i), i))
  return choices
}

function generateChoice(call: Call, wish: Wish, random: Random, index: number): Choice {
  const { controls } = call
  const limit = controls.faults.has('ignore_max_tokens') ? undefined : wish.limit
  const budget = limit ?? Number.POSITIVE_INFINITY
  const reasoningTokens = Math.min(controls.reasoning ?? (wish.reasoning ? 16 : 0), budget)
  if (controls.faults.has('endless') && wish.stream) return endlessChoice(random, reasoningTokens)
  const wanted = wantedParts(call, wish, random, index)
  const { parts, used } = cutParts(wanted, budget - reasoningTokens)
  const outputTokens = reasoningTokens + used
  const whole = used === countTokens(wanted)
  const finish = whole ? (wanted.some((part) => part.type === 'tool') ? 'tools' : 'stop') : 'length'
  return { reasoningTokens, parts, finish, outputTokens }
}

function endlessChoice(random: Random, reasoningTokens: number): Choice {
  const parts = [{ type: 'text', tokens: endlessTokens(random) }] as const
  return { reasoningTokens, parts, finish: 'length', outputTokens: reasoningTokens }
}

type FinitePart = (TextPart & { readonly tokens: readonly string[] }) | ToolPart

function wantedParts(call: Call, wish: Wish, random: Random, index: number): FinitePart[] {
  const toolCalls = wish.tools.length === 0 ? 0 : (call.controls.tools ?? (wish.useTools ? 1 : 0))
  if (toolCalls > 0) return toolParts(call, wish.tools, toolCalls, random, index)
  if (wish.schema !== undefined) {
    return [{ type: 'text', tokens: tokensOf(JSON.stringify(schemaValue(wish.schema, random))) }]
  }
  return [{ type: 'text', tokens: textTokens(random, call.controls.output ?? 16 + random.below(48)) }]
}

function toolParts(call: Call, tools: readonly Tool[], count: number, random: Random, index: number): FinitePart[] {
  return Array.from({ length: count }, (_, i) => {
    const tool = tools[i % tools.length] as Tool
    const tokens = tokensOf(JSON.stringify(schemaValue(tool.schema, random) ?? {}))
    return { type: 'tool', name: tool.name, id: idTail(call.idSeed + 7919 * (index * count + i + 1), 24), tokens }
  })
}

function cutParts(wanted: readonly FinitePart[], budget: number): { parts: Part[]; used: number } {
  const parts: Part[] = []
  let used = 0
  for (const part of wanted) {
    if (used >= budget) break
    const tokens = part.tokens.slice(0, budget - used)
    parts.push({ ...part, tokens })
    used += tokens.length
  }
  return { parts, used }
}

function countTokens(parts: readonly FinitePart[]): number {
  let count = 0
  for (const part of parts) count += part.tokens.length
  return count
}

/** The text of a part that ends. */
export function partText(part: Part): string {
  return Array.isArray(part.tokens) ? part.tokens.join('') : [...part.tokens].join('')
}

/** All text of a choice, tools apart. */
export function choiceText(choice: Choice): string {
  let text = ''
  for (const part of choice.parts) if (part.type === 'text') text += partText(part)
  return text
}

export function sumOutput(choices: readonly Choice[]): { output: number; reasoning: number } {
  let output = 0
  let reasoning = 0
  for (const choice of choices) {
    output += choice.outputTokens
    reasoning += choice.reasoningTokens
  }
  return { output, reasoning }
}

/** Input split into what was read from cache, written to it, and the rest; never more than the whole. */
export function splitInput(call: Call, counted: number, countedCached = 0): SplitInput {
  const total = call.controls.input ?? counted
  const cached = Math.min(call.controls.cached || countedCached, total)
  const written = Math.min(call.controls.cacheWrite, total - cached)
  const writtenHour = Math.min(call.controls.cacheWriteHour, total - cached - written)
  return { total, cached, written, writtenHour, rest: total - cached - written - writtenHour }
}

export interface SplitInput {
  readonly total: number
  readonly cached: number
  readonly written: number
  readonly writtenHour: number
  readonly rest: number
}

/** `{type: "object"}` where a tool or a format names no schema. */
export function schemaOr(value: unknown): JsonObject {
  return isObject(value) ? value : { type: 'object' }
}

/** Tools that a call lists as `{function: {name, parameters}}`. */
export function functionTools(tools: unknown): Tool[] {
  if (!Array.isArray(tools)) return []
  const functions = tools.flatMap((tool) => (isObject(tool) && isObject(tool['function']) ? [tool['function']] : []))
  return functions.map((tool) => ({ name: String(tool['name']), schema: schemaOr(tool['parameters']) }))
}

/** What a tool is called with, for formats that have it as an object; none where a limit cut it. */
export function parsedArguments(part: Part): unknown {
  try {
    return JSON.parse(partText(part))
  } catch {
    return {}
  }
}
