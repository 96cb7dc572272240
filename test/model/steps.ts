/** The steps of a history as plain values, and what each does to the wallet and to the model. */
import type { Wallet } from '../../src/wallet/wallet-types.ts'
import type { WalletModel } from './wallet-model.ts'

type Request<Name extends keyof Wallet> = Parameters<Wallet[Name]>[0]

/** What each kind of step asks; `wait` lets time pass alone, `check` proves the books. */
export interface Requests {
  readonly hold: Request<'hold'>
  /** Its terms are what the hold asked. */
  readonly settle: Request<'settle'> & { readonly terms: Request<'settle'>['terms'] & Partial<Request<'hold'>> }
  readonly checkpoint: Request<'checkpoint'>
  readonly void: Request<'void'>
  readonly grant: Request<'grant'>
  readonly voidGrant: Request<'voidGrant'>
  readonly clawback: Request<'clawback'>
  readonly payment: Request<'payment'>
  readonly refund: Request<'refund'>
  readonly resolveUnmatched: Request<'resolveUnmatched'>
  readonly resolveFlagged: Request<'resolveFlagged'>
  readonly closePeriod: Request<'closePeriod'>
  readonly stop: Request<'setStop'>
  readonly adjust: Request<'adjust'>
  readonly freeze: Request<'setFrozen'>
  readonly handOver: { readonly account: string; readonly upToSeq: number }
  readonly sweep: null
  readonly wait: null
  readonly check: null
}
export type Kind = keyof Requests
export type Step = { readonly [K in Kind]: StepOf<K> }[Kind]
export interface StepOf<K extends Kind> {
  readonly kind: K
  /** What the clock says; the account's own time does not go back with it. */
  readonly atMs: number
  readonly request: Requests[K]
}

interface Act<R> {
  readonly script: (wallet: Wallet, request: R, account: string) => unknown
  readonly model: (model: WalletModel, request: R, nowMs: number) => unknown
}

export const ACTS: { readonly [K in Kind]: Act<Requests[K]> } = {
  hold: {
    script: (wallet, request) => wallet.hold(request),
    model: (model, request, nowMs) => model.hold(request, nowMs),
  },
  settle: {
    script: (wallet, request) => wallet.settle(request),
    model: (model, request, nowMs) => model.settle(request, nowMs),
  },
  checkpoint: {
    script: (wallet, request) => wallet.checkpoint(request),
    model: (model, request, nowMs) => model.checkpoint(request, nowMs),
  },
  void: { script: (wallet, request) => wallet.void(request), model: (model, { id }, nowMs) => model.void(id, nowMs) },
  grant: {
    script: (wallet, request) => wallet.grant(request),
    model: (model, request, nowMs) => model.grant(request, nowMs),
  },
  voidGrant: {
    script: (wallet, request) => wallet.voidGrant(request),
    model: (model, request, nowMs) => model.voidGrant(request, nowMs),
  },
  clawback: {
    script: (wallet, request) => wallet.clawback(request),
    model: (model, request, nowMs) => model.clawback(request, nowMs),
  },
  payment: {
    script: (wallet, request) => wallet.payment(request),
    model: (model, request, nowMs) => model.payment(request, nowMs),
  },
  refund: {
    script: (wallet, request) => wallet.refund(request),
    model: (model, request, nowMs) => model.refund(request, nowMs),
  },
  resolveUnmatched: {
    script: (wallet, request) => wallet.resolveUnmatched(request),
    model: (model, request, nowMs) => model.resolveUnmatched(request, nowMs),
  },
  resolveFlagged: {
    script: (wallet, request) => wallet.resolveFlagged(request),
    model: (model, request, nowMs) => model.resolveFlagged(request, nowMs),
  },
  closePeriod: {
    script: (wallet, request) => wallet.closePeriod(request),
    model: (model, request, nowMs) => model.closePeriod(request, nowMs),
  },
  stop: {
    script: (wallet, request) => wallet.setStop(request),
    model: (model, request, nowMs) => model.setStop(request, nowMs),
  },
  adjust: {
    script: (wallet, request) => wallet.adjust(request),
    model: (model, request, nowMs) => model.adjust(request, nowMs),
  },
  freeze: {
    script: (wallet, request) => wallet.setFrozen(request),
    model: (model, request, nowMs) => model.setFrozen(request, nowMs),
  },
  handOver: {
    script: async (wallet, { account, upToSeq }) => ({
      pending: (await wallet.pendingEvents(account, 1000)).map(({ seq }) => seq),
      left: await wallet.eventsHandedOver(account, upToSeq),
    }),
    model: (model, { upToSeq }) => ({ pending: model.pending, left: model.handOver(upToSeq) }),
  },
  sweep: {
    script: (wallet, _, account) => sweepAll(wallet, account),
    model: (model, _, nowMs) => model.sweep(nowMs),
  },
  wait: { script: () => undefined, model: () => undefined },
  // What is due is swept on both sides; comparing the books is the player's.
  check: {
    script: (wallet, _, account) => sweepAll(wallet, account),
    model: (model, _, nowMs) => model.sweep(nowMs),
  },
}

/** Answers when the next thing is due. Throws where sweeping comes to no end. */
async function sweepAll(wallet: Wallet, account: string): Promise<number | undefined> {
  for (let round = 0; round < 40; round++) {
    const { swept, nextDueMs } = await wallet.sweep(account)
    if (swept === 0) return nextDueMs
  }
  throw new Error('the sweep finds the same again and again')
}
