/** What becomes of a call whose caller has hung up (GUARANTEES section 4). */

/**
 * - let_go: its money has its end, only the socket is closed.
 * - never_sent: nothing reached the upstream.
 * - await_name: it runs on over there whoever hangs up, and nobody could ask for what it comes to: its name is waited for.
 * - cancel: the upstream is closed, what was produced is charged.
 * - drain: the answer is read on, and charged as the provider reports it.
 */
export type HangUp = 'let_go' | 'never_sent' | 'await_name' | 'cancel' | 'drain'

export interface HungUpCall {
  readonly ended: boolean
  readonly sent: boolean
  /** Its call goes on at the provider, under a name that has not come yet. */
  readonly nameless: boolean
  readonly mode: 'drain' | 'cancel'
  /** Answers that are read on at this moment, and how many may be. */
  readonly drains: number
  readonly drainsMax: number
}

export function decideHangUp({ ended, sent, nameless, mode, drains, drainsMax }: HungUpCall): HangUp {
  if (ended) return 'let_go'
  if (!sent) return 'never_sent'
  if (nameless) return 'await_name'
  return mode === 'cancel' || drains >= drainsMax ? 'cancel' : 'drain'
}
