/** Where a test's call comes from, for readers that look at nothing but the body. */
import type { AnswerHeaders, CallSource } from '../../src/providers/provider.ts'

export const SOURCE: CallSource = { path: '/', query: '', headers: {}, jsonDepth: 128 }

export const NO_HEADERS: AnswerHeaders = { get: () => undefined }
