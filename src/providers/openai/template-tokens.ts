/**
 * Tokens that a provider puts around a prompt: the template's head with the date and its rules, what reasoning, tools
 * and JSON mode add. Measured on recorded traffic, then raised; OpenAI's own models add next to nothing.
 */
import { asArray, asObject } from '../read-fields.ts'
import { isOpenAIModel } from './own-model.ts'

type Fields = Readonly<Record<string, unknown>>

const HEAD_OF_OPENAI = 16
/** gpt-oss 70, Llama 3 36, DeepSeek with reasoning 85. */
const HEAD_OF_OTHERS = 112
/** xAI prepends some 190 tokens of its own. */
const HEAD_OF_GROK = 272
const TOOLS = 320
/** OpenAI's own: 59 measured for one tool of few words, its schema counted beside it. */
const TOOLS_OF_OPENAI = 64
/** Claude behind a compatible API: up to 804 for tools. Source: platform.claude.com, "Tool use", Pricing. */
const TOOLS_OF_CLAUDE = 900
/** Servers of open models explain JSON mode to the model in some 200 tokens. */
const JSON_MODE = 256

export function templateTokens(fields: Fields, model: string): number {
  const tools = asArray(fields['tools']).length + asArray(fields['functions']).length > 0
  return headTokens(model) + (tools ? toolsTokens(model) : 0) + jsonTokens(fields, model)
}

function toolsTokens(model: string): number {
  if (isOpenAIModel(model)) return TOOLS_OF_OPENAI
  return model.includes('claude') ? TOOLS_OF_CLAUDE : TOOLS
}

function headTokens(model: string): number {
  if (isOpenAIModel(model)) return HEAD_OF_OPENAI
  return model.includes('grok') ? HEAD_OF_GROK : HEAD_OF_OTHERS
}

function jsonTokens(fields: Fields, model: string): number {
  const type = asObject(fields['response_format'])?.['type']
  return type === undefined || type === 'text' || isOpenAIModel(model) ? 0 : JSON_MODE
}
