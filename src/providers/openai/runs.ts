/**
 * POST …/threads/:id/runs, and …/threads/runs, which makes the thread too: an assistant reads a thread and goes on by
 * itself. Both are held until the run has its end (run-job.ts); what is sent to a run that waits for tools belongs to it.
 *
 * A run that names no model has its assistant's, which no request shows: it is then known by the assistant's id, for
 * prices and plans, and the model that the run names is what is charged where that has a price of its own.
 * Source: openai-node src/resources/beta/threads/threads.ts and runs/runs.ts.
 */
import { idsInBody } from '../ids-in-body.ts'
import { InputCounter } from '../input-counter.ts'
import { isPlainId } from '../object-id.ts'
import { highestLimit, readLimits } from '../output-limit.ts'
import { pathSegments } from '../path-segments.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import {
  type AnswerFacts,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type StreamReader,
} from '../provider.ts'
import { asArray, asObject, readFlag, readModel } from '../read-fields.ts'
import { openAIMedia } from './media-cost.ts'
import { hasTools, isStrictSchema, ownLimitName, prepareOpenAI, readOpenAIBody, readReasoning } from './openai-call.ts'
import { type RunParsed, runFacts, runJob, storedIdOf } from './run-job.ts'
import { RunStream } from './run-stream.ts'

type Fields = Readonly<Record<string, unknown>>

const LIMIT = 'max_completion_tokens'
/** A lower limit is refused. Source: openai-openapi, CreateRunRequest. */
const LEAST_LIMIT = 256
/** What the API writes around the turns of a thread. */
const OVERHEAD_TOKENS = 20
const MESSAGE_TOKENS = 8

export const runsMetering: Metering = {
  readCall: readRunCall,
  prepare: (raw, call, edits) => prepareOpenAI(raw, call, edits, LIMIT),
  outputLimitName: (call): string => ownLimitName(call, LIMIT),
  createStreamReader: (call): StreamReader => new RunStream(call),
  jsonMembers: ['id', 'model', 'usage', 'status', 'thread_id'],
  readJson: readRunJson,
}

/** Whether the segments are those of a path that starts a run. */
export function startsRun(segments: readonly string[]): boolean {
  if (segments.at(-1) !== 'runs') return false
  return segments.at(-2) === 'threads' || (segments.at(-3) === 'threads' && isPlainId(segments.at(-2)))
}

function readRunCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readOpenAIBody(raw, source.jsonDepth)
  const fields = body.value
  const segments = pathSegments(source.path)
  const thread = segments.at(-2) === 'threads' ? undefined : segments.at(-2)
  const assistant = fields['assistant_id']
  if (!isPlainId(assistant))
    throw new InvalidCall('"assistant_id" must be the id of the assistant that runs.', 'assistant_id')
  const model = fields['model'] === undefined || fields['model'] === null ? assistant : readModel(fields)
  const limits = readLimits(body, [LIMIT], 1)
  const reasoning = readReasoning(fields)
  const counter = new InputCounter(openAIMedia(model))
  const parsed: RunParsed = {
    insertAt: body.insertAt,
    limits,
    usage: undefined,
    usageIsOurs: false,
    stored: true,
    thread,
  }
  return {
    ...PLAIN_CALL,
    model,
    stream: readFlag(fields, 'stream') === true,
    input: countRunInput(counter, fields),
    generates: true,
    leastOutputTokens: LEAST_LIMIT,
    outputLimit: highestLimit(limits),
    thinkingBudget: reasoning.budget,
    reasoning: reasoning.asked,
    structured: isStrictSchema(fields['response_format']),
    tools: hasTools(fields),
    goesOn: true,
    objects: thread === undefined ? idsInBody(fields) : [thread, ...idsInBody(fields)],
    // The thread, the assistant's instructions, what its tools find.
    unseenInput: true,
    parsed,
  }
}

function countRunInput(counter: InputCounter, fields: Fields): CallRequest['input'] {
  const messages = [...asArray(fields['additional_messages']), ...asArray(asObject(fields['thread'])?.['messages'])]
  counter.addOverhead(OVERHEAD_TOKENS + MESSAGE_TOKENS * messages.length)
  counter.addContent(messages)
  counter.addContent(fields['instructions'])
  counter.addContent(fields['additional_instructions'])
  counter.addSchema(fields['tools'])
  counter.addSchema(fields['response_format'])
  return counter.estimate()
}

function readRunJson(members: Fields, call: CallRequest): AnswerFacts {
  const job = runJob(members)
  return { ...(job ? { job } : {}), ...runFacts(members), storedId: storedIdOf(members, call) }
}
