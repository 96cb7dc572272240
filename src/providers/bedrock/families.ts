/**
 * Whose words the body of an `invoke` is in. A model's id says it; an ARN of a provisioned, imported or routed model says
 * nothing, and the body's own members have to.
 * Source: docs.aws.amazon.com/bedrock, "Inference request parameters and response fields for foundation models".
 */
import type { LimitPath } from './limit-places.ts'

export type FamilyName =
  | 'messages'
  | 'claude-text'
  | 'nova'
  | 'titan-text'
  | 'llama'
  | 'chat'
  | 'completion'
  | 'cohere-chat'
  | 'jurassic'
  | 'pegasus'
  | 'embedding'
  | 'rerank'
  | 'images'
  | 'other'

export interface Family {
  readonly name: FamilyName
  /** Where an output limit stands, the one that is written first; none: it generates no text. */
  readonly limits: readonly [LimitPath, ...LimitPath[]] | undefined
  /** Member that asks for several answers. */
  readonly answers?: string
}

const FAMILIES: { readonly [name in FamilyName]: Family } = {
  messages: { name: 'messages', limits: ['max_tokens'] },
  'claude-text': { name: 'claude-text', limits: ['max_tokens_to_sample'] },
  nova: {
    name: 'nova',
    limits: ['inferenceConfig.maxTokens', 'inferenceConfig.max_new_tokens', 'inferenceConfig.maxNewTokens'],
  },
  'titan-text': { name: 'titan-text', limits: ['textGenerationConfig.maxTokenCount'] },
  llama: { name: 'llama', limits: ['max_gen_len'] },
  chat: { name: 'chat', limits: ['max_tokens', 'max_completion_tokens'], answers: 'n' },
  completion: { name: 'completion', limits: ['max_tokens'], answers: 'num_generations' },
  'cohere-chat': { name: 'cohere-chat', limits: ['max_tokens'] },
  jurassic: { name: 'jurassic', limits: ['maxTokens'], answers: 'numResults' },
  pegasus: { name: 'pegasus', limits: ['maxOutputTokens'] },
  embedding: { name: 'embedding', limits: undefined },
  rerank: { name: 'rerank', limits: undefined },
  images: { name: 'images', limits: undefined, answers: 'numberOfImages' },
  other: {
    name: 'other',
    // Nothing says which one it reads: all that are there count, the highest is held, and each is lowered.
    limits: [
      'max_tokens',
      'max_completion_tokens',
      'max_gen_len',
      'maxTokens',
      'max_new_tokens',
      'max_tokens_to_sample',
      'maxOutputTokens',
      'inferenceConfig.maxTokens',
      'inferenceConfig.max_new_tokens',
      'textGenerationConfig.maxTokenCount',
      'parameters.max_new_tokens',
    ],
    answers: 'n',
  },
}

/** OpenAI's own models take the newer name first. */
const OPENAI_CHAT: Family = { ...FAMILIES.chat, limits: ['max_completion_tokens', 'max_tokens'] }

/** By the model's id, in any region's profile and inside an ARN. The first that fits. */
const BY_MODEL: readonly (readonly [RegExp, FamilyName])[] = [
  [/\b(amazon\.titan-image|amazon\.nova-canvas|stability\.)/, 'images'],
  [/embed|\bmarengo/, 'embedding'],
  [/rerank/, 'rerank'],
  [/\banthropic\./, 'messages'],
  [/\bamazon\.nova/, 'nova'],
  [/\bamazon\.titan/, 'titan-text'],
  [/\bmeta\./, 'llama'],
  [/\bcohere\.command-r/, 'cohere-chat'],
  [/\bcohere\.command/, 'completion'],
  [/\bai21\.j2/, 'jurassic'],
  [/\btwelvelabs\.pegasus/, 'pegasus'],
]

/** By a member that no other family has, for models whose id says nothing. The first that is there. */
const BY_MEMBER: readonly (readonly [string, FamilyName])[] = [
  ['anthropic_version', 'messages'],
  ['inferenceConfig', 'nova'],
  ['schemaVersion', 'nova'],
  ['textGenerationConfig', 'titan-text'],
  ['max_tokens_to_sample', 'claude-text'],
  ['singleEmbeddingParams', 'embedding'],
  ['segmentedEmbeddingParams', 'embedding'],
  ['embeddingConfig', 'embedding'],
  ['texts', 'embedding'],
  ['imageGenerationConfig', 'images'],
  ['text_prompts', 'images'],
]

/** `fields`: the body's. */
export function familyOf(model: string, fields: Readonly<Record<string, unknown>>): Family {
  const known = BY_MODEL.find(([pattern]) => pattern.test(model))?.[1]
  if (known === 'messages' && fields['prompt'] !== undefined && fields['messages'] === undefined)
    return FAMILIES['claude-text']
  if (known === 'llama' && fields['messages'] !== undefined) return FAMILIES.other
  if (known !== undefined) return FAMILIES[known]
  if (/\bopenai\./.test(model)) return OPENAI_CHAT
  // Mistral, DeepSeek, Qwen, Jamba and most makers since take a chat or a completion in OpenAI's words.
  if (/(^|\/)([a-z]{2,6}\.)?[a-z0-9]+\./.test(model)) {
    if (fields['messages'] !== undefined) return FAMILIES.chat
    if (fields['prompt'] !== undefined) return FAMILIES.completion
  }
  const shaped = BY_MEMBER.find(([name]) => fields[name] !== undefined)?.[1]
  return FAMILIES[shaped ?? 'other']
}
