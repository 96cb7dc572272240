/**
 * Chats and completions of OpenAI's shape that name what answers them in another way: an agent of Mistral's
 * (…/agents/completions, `agent_id`), a prompt of Portkey's (…/prompts/ID/completions), code between two texts
 * (…/fim/completions, whose answer is a chat's).
 * Sources: docs.mistral.ai/api; portkey.ai/docs, "Prompt completions"; recorded traffic.
 */
import type { Metering, StreamReader } from '../provider.ts'
import { readModel } from '../read-fields.ts'
import { chatMetering, readChatCall } from './chat.ts'
import { CompletionStream } from './completion-stream.ts'
import { completionsMetering } from './completions.ts'
import { readCallModel } from './path-model.ts'

export const agentMetering: Metering = {
  ...chatMetering,
  // Its instructions and tools are kept over there.
  readCall: (raw, source) => ({ ...readChatCall(raw, source, agentModel), unseenInput: true }),
}

export const promptMetering: Metering = {
  ...chatMetering,
  // Its messages are kept over there: the body fills in what varies.
  readCall: (raw, source) => ({ ...readChatCall(raw, source, readCallModel), unseenInput: true }),
}

export const fimMetering: Metering = {
  ...completionsMetering,
  createStreamReader: (call): StreamReader => new CompletionStream(call, 'chat.completion.chunk'),
}

function agentModel(fields: Readonly<Record<string, unknown>>): string {
  const agent = fields['agent_id']
  return agent === undefined || agent === null ? readModel(fields) : readModel({ model: agent })
}
