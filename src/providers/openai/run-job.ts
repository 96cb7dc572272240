/**
 * A run of an assistant goes on after its answer until it is completed, incomplete, failed, cancelled or expired; where
 * it waits for tools of the caller's (`requires_action`), it goes on with what they gave. Its usage stands in the run
 * from its end on, and each look at it repeats it.
 * Source: openai-node src/resources/beta/threads/runs/runs.ts, RunStatus.
 */
import { isPlainId } from '../object-id.ts'
import type { AnswerFacts, CallRequest, JobFacts, JobReader } from '../provider.ts'
import { asText } from '../read-fields.ts'
import { readChatUsage } from './chat-usage.ts'
import type { OpenAIParsed } from './openai-call.ts'

type Fields = Readonly<Record<string, unknown>>

const OPEN = new Set(['queued', 'in_progress', 'requires_action', 'cancelling'])
const ENDED = new Set(['completed', 'incomplete', 'failed', 'cancelled', 'expired'])
const NAME = 'run'

/** `CallRequest.parsed` of a call that starts a run. */
export interface RunParsed extends OpenAIParsed {
  /** Undefined: the call makes the thread. */
  readonly thread: string | undefined
}

/** Undefined: it has its end, or nothing names it. */
export function runJob(run: Fields): JobFacts | undefined {
  const { id, thread_id: thread } = run
  if (!isPlainId(id) || !OPEN.has(asText(run['status']) ?? '')) return undefined
  return {
    id,
    reader: NAME,
    pollPath: (path) => `${isPlainId(thread) ? ofThread(path, thread) : path}/${id}`,
    ...(isPlainId(thread) ? { within: thread } : {}),
  }
}

/** `…/threads/runs` makes the thread too, under which the run then stands. */
function ofThread(path: string, thread: string): string {
  return path.endsWith('/threads/runs') ? `${path.slice(0, -'/runs'.length)}/${thread}/runs` : path
}

export function hasEnded(status: string): boolean {
  return ENDED.has(status)
}

/** It came to nothing that a caller could use: what it states is charged, else what it produced. */
export function hasFailed(status: string): boolean {
  return status !== 'completed' && status !== 'incomplete'
}

/** What any look at a run says, without its object. */
export function runFacts(run: Fields): Pick<AnswerFacts, 'usage' | 'model' | 'providerId' | 'serviceTier'> {
  return {
    usage: readChatUsage(run['usage']),
    model: asText(run['model']),
    providerId: asText(run['id']),
    serviceTier: undefined,
  }
}

/** The object that the call made: the run, or the thread with it. A thread that was there keeps its owner. */
export function storedIdOf(run: Fields, call: CallRequest): string | undefined {
  const { thread } = call.parsed as RunParsed
  const made = thread === undefined ? run['thread_id'] : run['id']
  return isPlainId(made) ? made : undefined
}

export const runJobReader: JobReader = {
  name: NAME,
  members: ['id', 'model', 'usage', 'status'],
  read(members) {
    const status = asText(members['status']) ?? ''
    if (!hasEnded(status)) return { status: 'open' }
    return {
      status: 'ended',
      facts: { ...runFacts(members), storedId: undefined },
      failed: hasFailed(status),
      // What it produced stands in its thread.
      outputTokens: 0,
    }
  },
}
