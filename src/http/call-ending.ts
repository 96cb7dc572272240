/**
 * The one ending of a call's money, and what the call leaves at the provider: objects that answer to its account alone, a
 * job that goes on. settlement.ts says what it comes to.
 */

import type { Usage } from '../core/usage.ts'
import type { AnswerFacts, JobFacts } from '../providers/provider.ts'
import type { AdmittedCall } from './admitted-call.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { CallGuard } from './call-guard.ts'
import type { Ending } from './decide-end.ts'
import type { HoldKeeper } from './hold-keeper.ts'
import { longCallOf } from './long-call-of.ts'
import { endCall, type Settled, totalTokens } from './settlement.ts'
import { NO_FACTS, type UpstreamAnswer } from './upstream-answer.ts'

/** A longer one answers to nobody: no path of such a length is taken. */
const OBJECT_ID_LENGTH_MAX = 256

/** Whose ending it is, and what is let go of with it. */
export interface EndedParts {
  readonly admitted: AdmittedCall
  readonly answer: UpstreamAnswer
  readonly keeper: HoldKeeper
  readonly guard: CallGuard
  /** Of the request. */
  readonly rawHeaders: readonly string[]
}

export class CallEnding {
  readonly #deps: CallDependencies
  readonly #parts: EndedParts
  /** The money has its end: settled or voided, or the call goes on without us. */
  ended = false
  /** When the call was sent upstream. */
  sentMonotonicMs = 0
  /** Of a call that goes on, once it is on the list. */
  #jobId: string | undefined

  constructor(deps: CallDependencies, parts: EndedParts) {
    this.#deps = deps
    this.#parts = parts
  }

  /** The call goes on at the provider, and is on the list of those that are asked for. */
  get goesOn(): boolean {
    return this.#jobId !== undefined
  }

  /** Recorded when this returns. Undefined: voided, or it goes on, or it had ended before. */
  end(ending: Ending): Settled | undefined {
    if (this.ended) return undefined
    this.ended = true
    const { keeper, answer, guard } = this.#parts
    keeper.close()
    if (ending !== 'complete') answer.decoder?.destroy()
    this.#deps.openCalls.delete(guard)
    this.#deps.drains.delete(guard)
    return this.#settle(ending)
  }

  #settle(ending: Ending): Settled | undefined {
    const { admitted, answer, keeper } = this.#parts
    const endedMs = performance.now()
    let facts = NO_FACTS
    try {
      facts = answer.facts()
    } catch (error) {
      // What cannot be read is estimated: the money has its end all the same.
      this.logFault(error)
    }
    if (facts.job && ending !== 'refused') {
      this.goOn(facts.job, facts.model)
      if (facts.storedId !== undefined) this.recordObject(facts.storedId, 0)
      return undefined
    }
    if (this.#jobId !== undefined) this.#deps.longCalls.ended(admitted.upstream.name, this.#jobId)
    const settled = endCall(this.#deps, admitted, {
      ending,
      facts,
      usageFinal: answer.usageFinal,
      failedInside: answer.stream?.failed ?? facts.failed ?? false,
      unread: answer.unread(ending),
      outputTokens: facts.failed ? 0 : answer.outputTokens,
      status: answer.status,
      sentMonotonicMs: this.sentMonotonicMs,
      firstByteMonotonicMs: answer.firstByteMonotonicMs,
      held: keeper.held,
    })
    this.#deps.metrics.overhead('settle', (performance.now() - endedMs) / 1000)
    if (settled) this.#recordObjects(facts, settled.usage)
    return settled
  }

  /** The call is not over with its answer: it is on the list of those that are asked how they stand, and its hold lives on. */
  goOn(job: JobFacts, model: string | undefined): void {
    const { longCalls, now } = this.#deps
    const { admitted, rawHeaders } = this.#parts
    if (this.#jobId === job.id) {
      // Its own stream tells nothing more of it.
      longCalls.hurry(admitted.upstream.name, job.id)
      return
    }
    this.#jobId = job.id
    longCalls.register(longCallOf(admitted, job, model, rawHeaders, now()))
  }

  logFault(error: unknown): void {
    this.#deps.log.error({ request_id: this.#parts.admitted.id, error }, 'a call failed in the gateway')
  }

  #recordObjects(facts: AnswerFacts, usage: Usage): void {
    const tokens = totalTokens(usage)
    if (facts.storedId !== undefined) this.recordObject(facts.storedId, tokens)
    if (facts.carrierId !== undefined) this.recordObject(facts.carrierId, tokens)
    // Each is a part of the answer.
    for (const id of facts.objectIds ?? []) this.recordObject(id, usage.tokens.output ?? 0)
  }

  /** From now on it answers to the call's account. `tokens`: what a call that continues it will read. */
  recordObject(id: string, tokens: number): void {
    if (id.length > OBJECT_ID_LENGTH_MAX) return
    const { id: requestId, terms, upstream } = this.#parts.admitted
    this.#deps.objects.record(id, terms.account, upstream, tokens).catch(() => {
      const message = 'the owner of a stored answer could not be recorded; it will answer to nobody'
      this.#deps.log.warn({ request_id: requestId }, message)
    })
  }
}
