import { converse, converseUserText, objectAt } from './bedrock-converse.ts'
import { invoke } from './bedrock-invoke.ts'
import { anthropicPrompt, wordsOf } from './bedrock-words.ts'
import { type Call, type JsonObject, jsonReply, type Reply } from './call.ts'
import { countInput } from './count-input.ts'
import type { Route } from './routes.ts'

const MODEL = /\/model\/(.+)\/(converse|converse-stream|invoke|invoke-with-response-stream|count-tokens)$/
const GUARDRAIL = /\/guardrail\/[^/]+\/version\/[^/]+\/apply$/

export function bedrockRoute(method: string, path: string): Route | undefined {
  if (method !== 'POST') return undefined
  if (GUARDRAIL.test(path)) return { format: 'bedrock', generates: false, answer: guardrail }
  const match = MODEL.exec(path)
  if (match === null) return undefined
  const model = decodeURIComponent(match[1] as string)
  const stream = /stream$/.test(match[2] as string)
  const to = (prompt: Route['prompt'], answer: Route['answer']): Route => ({
    format: 'bedrock',
    generates: true,
    model,
    ...(prompt ? { prompt } : {}),
    answer,
  })
  if (match[2] === 'count-tokens') return to(countedText, countTokens)
  if (match[2]?.startsWith('converse')) return to(converseUserText, (call) => converse(call, stream))
  const prompt = model.includes('anthropic.') ? anthropicPrompt : (body: JsonObject) => wordsOf(model).prompt(body)
  return to(prompt, (call) => invoke(call, stream))
}

function countedText(body: JsonObject): string {
  return converseUserText(objectAt(objectAt(body, 'input'), 'converse'))
}

function countTokens(call: Call): Reply {
  const input = objectAt(call.body, 'input')
  return jsonReply({ inputTokens: call.controls.input ?? countInput(input['converse'] ?? input['invokeModel']) })
}

function guardrail(): Reply {
  return jsonReply({ action: 'NONE', outputs: [], assessments: [], usage: { contentPolicyUnits: 1 } })
}
