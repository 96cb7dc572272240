/** Under which name a chat completion's output limit is written where the caller names none. */
import type { Upstream } from '../../config/snapshot.ts'

/** Hosts that have replaced `max_tokens` by `max_completion_tokens` and refuse the old name for reasoning models. */
const CURRENT_HOSTS = ['api.openai.com', 'openai.azure.com', 'services.ai.azure.com', 'cognitiveservices.azure.com']

export function chatLimitName(upstream: Upstream): string {
  if (upstream.outputLimitParam) return upstream.outputLimitParam
  const host = upstream.baseUrl.hostname
  return CURRENT_HOSTS.some((known) => host === known || host.endsWith(`.${known}`))
    ? 'max_completion_tokens'
    : 'max_tokens'
}
