import type { Endpoint } from './snapshot.ts'

/** Endpoints that a plan can name: those that are metered. Free ones are always allowed. */
export const METERED_ENDPOINTS = [
  'chat',
  'responses',
  'completions',
  'embeddings',
  'messages',
  'images',
  'speech',
  'transcriptions',
  'realtime',
  'batches',
  'generate_content',
  'predict',
  'converse',
  'invoke',
  'rerank',
  'ocr',
  'generate',
] as const satisfies readonly Endpoint[]
