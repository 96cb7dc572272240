/**
 * `GET …/realtime` as a WebSocket. The model stands in the query: `model`, at Azure also `deployment`, or the deployment
 * in the path. Source: openai-node src/realtime/internal-base.ts; learn.microsoft.com, Azure OpenAI realtime reference.
 */
import { type CallRequest, type CallSource, InvalidCall, type Metering, type SocketMetering } from '../provider.ts'
import { SilentStream } from '../silent-stream.ts'
import { openAIError } from './error-event.ts'
import { modelInPath } from './path-model.ts'
import { RealtimeContext } from './realtime-context.ts'
import { RealtimeReader } from './realtime-reader.ts'

const KEY_PROTOCOL = 'openai-insecure-api-key.'
/** Whose account at the provider is billed is ours to say. */
const OWN_PROTOCOLS = ['openai-organization.', 'openai-project.']
const MODEL_LENGTH_MAX = 256

export const realtimeMetering: Metering = {
  readCall: readRealtimeCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_output_tokens',
  // A session has no answer of its own.
  createStreamReader: () =>
    new SilentStream((error) => ({ contentType: '', body: JSON.stringify({ error: openAIError(error) }) })),
  jsonMembers: [],
  readJson: () => ({
    usage: undefined,
    model: undefined,
    providerId: undefined,
    serviceTier: undefined,
    storedId: undefined,
  }),
  socket: {
    readProtocols,
    createReader: (call, jsonDepth) => new RealtimeReader(call, jsonDepth),
  },
}

/** On other paths too: a client in a browser has no other place for its key. */
export function readProtocols(offered: readonly string[]): ReturnType<SocketMetering['readProtocols']> {
  return {
    key: offered.find((name) => name.startsWith(KEY_PROTOCOL))?.slice(KEY_PROTOCOL.length),
    forwarded: offered.filter((name) => ![KEY_PROTOCOL, ...OWN_PROTOCOLS].some((own) => name.startsWith(own))),
  }
}

function readRealtimeCall(_body: Buffer, source: CallSource): CallRequest {
  const query = new URLSearchParams(source.query)
  if (query.has('call_id'))
    throw new InvalidCall(
      '"call_id" is not supported: calls that were begun elsewhere are not metered here.',
      'call_id',
    )
  const inPath = modelInPath(source.path)
  const models = [...(inPath === undefined ? [] : [inPath]), ...query.getAll('model'), ...query.getAll('deployment')]
  const model = models[0] ?? ''
  if (models.some((other) => other !== model) || query.getAll('model').length > 1)
    throw new InvalidCall('The model is named twice; name it once.', 'model')
  if (model.length > MODEL_LENGTH_MAX)
    throw new InvalidCall(`"model" must be a string of at most ${MODEL_LENGTH_MAX} characters.`, 'model')
  if (model === '' && query.get('intent') !== 'transcription')
    throw new InvalidCall('"model" is missing; name it in the query.', 'model')
  const parts = new RealtimeContext(model).tokens
  return {
    model,
    // Not sliced: each response is covered whole before it runs.
    stream: false,
    input: {
      highTokens: parts.input ?? 0,
      // A session that is opened and closed costs nothing.
      lowTokens: 0,
      cacheWriteTokens: 0,
      cacheWriteKind: 'cache_write_5m',
    },
    generates: true,
    outputLimit: undefined,
    answers: 1,
    thinkingBudget: 0,
    reasoning: false,
    structured: false,
    tools: false,
    audioOutput: true,
    billedBy: ['seconds'],
    objects: [],
    unseenInput: false,
    parsed: undefined,
  }
}
