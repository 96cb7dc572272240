/** What Bedrock says of an answer in its headers. */
import type { AnswerHeaders } from '../provider.ts'
import type { TokenCounts } from './token-counts.ts'

/** The id that AWS's own logs and support know the call by. */
export function requestId(headers: AnswerHeaders): string | undefined {
  return headers.get('x-amzn-requestid')
}

/** The class of service that an answer to `invoke` was given; latency-optimised inference has a price of its own too. */
export function answeredTier(headers: AnswerHeaders): string | undefined {
  return (
    headers.get('x-amzn-bedrock-service-tier') ?? optimized(headers.get('x-amzn-bedrock-performanceconfig-latency'))
  )
}

export function optimized(latency: unknown): string | undefined {
  return latency === 'optimized' ? latency : undefined
}

/** Counts as `invoke` states them beside a whole answer: input without what was read from cache or written to it. */
export function headerCounts(headers: AnswerHeaders): TokenCounts {
  const count = (name: string): number | undefined => wholeNumber(headers.get(`x-amzn-bedrock-${name}-token-count`))
  return {
    input: count('input'),
    output: count('output'),
    cacheRead: count('cache-read-input'),
    cacheWrite: count('cache-write-input'),
  }
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
