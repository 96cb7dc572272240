/** Amazon Bedrock's runtime API: paths, refusals. Agents, asynchronous and bidirectional calls are not metered. */
import type { Endpoint } from '../../config/snapshot.ts'
import { pathSegments } from '../path-segments.ts'
import type { Metering, Operation, Provider } from '../provider.ts'
import { converseMetering } from './converse.ts'
import { bedrockErrorBody } from './error-body.ts'
import { invokeMetering } from './invoke.ts'
import { modelOfPath, operationOf } from './model-path.ts'

const OPERATIONS: ReadonlyMap<string, Operation> = new Map([
  ['converse', metered('converse', converseMetering)],
  ['converse-stream', metered('converse', converseMetering)],
  ['invoke', metered('invoke', invokeMetering)],
  ['invoke-with-response-stream', metered('invoke', invokeMetering)],
])
const countTokens = free('count_tokens')
/** AWS bills what it judges by the text unit, which nothing here counts. */
const guardrail: Operation = { ...free('moderations'), kind: 'unmetered' }

export const bedrockProvider: Provider = {
  format: 'bedrock',
  match: (method, path) => {
    if (method !== 'POST') return undefined
    const name = operationOf(path)
    if (name === 'count-tokens') return { operation: countTokens, objectId: undefined, ...modelOf(path) }
    const operation = OPERATIONS.get(name ?? '') ?? (isGuardrail(path) ? guardrail : undefined)
    return operation && { operation, objectId: undefined }
  },
  errorBody: bedrockErrorBody,
}

/** What AWS will refuse is refused by it: only the upstream is chosen here. */
function modelOf(path: string): { readonly model?: string } {
  try {
    return { model: modelOfPath(path) }
  } catch {
    return {}
  }
}

/** …/guardrail/ID/version/VERSION/apply */
function isGuardrail(path: string): boolean {
  const segments = pathSegments(path)
  return segments.at(-1) === 'apply' && segments.at(-3) === 'version' && segments.at(-5) === 'guardrail'
}

function metered(endpoint: Endpoint, metering: Metering): Operation {
  return { format: 'bedrock', endpoint, kind: 'metered', metering }
}

function free(endpoint: Endpoint): Operation {
  return { format: 'bedrock', endpoint, kind: 'free' }
}
