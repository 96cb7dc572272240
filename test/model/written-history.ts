/**
 * Histories written by hand, of what chance hardly comes to: the model answers each act at once, and the steps are then
 * played on the scripts, closely. Where the two differ the test fails, so that a history needs no figures of its own but
 * those that show that it comes where it is meant to.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HoldRequest, Wallet } from '../../src/wallet/wallet-types.ts'
import { redisAvailable } from '../support/redis.ts'
import { accountOf, type TestAccount, type TestWallet } from '../support/wallet.ts'
import { watchedCalls } from '../support/watched-wallet.ts'
import { START_MS } from './random-steps.ts'
import { type Histories, startHistories } from './run-histories.ts'
import { ACTS, type Kind, type Requests, type Step } from './steps.ts'
import { WalletModel } from './wallet-model.ts'

export interface WrittenHistory {
  readonly account: TestAccount
  readonly wallet: Wallet
  readonly clock: { nowMs: number }
  readonly model: WalletModel
  readonly steps: readonly Step[]
  /** Throws where no hold was asked for yet. */
  readonly lastHold: () => HoldRequest
  /** Holds, and settles at what was held. */
  readonly spend: (atoms: bigint, more?: Parameters<ReturnType<typeof watchedCalls>['spend']>[2]) => Promise<void>
  /** Names of the events so far. */
  readonly told: () => readonly string[]
}

export function writtenHistory(): WrittenHistory {
  const clock = { nowMs: START_MS }
  const model = new WalletModel('written')
  const steps: Step[] = []
  const act =
    <K extends Kind>(kind: K) =>
    async (request: Requests[K]): Promise<unknown> => {
      steps.push({ kind, atMs: clock.nowMs, request } as Step)
      return ACTS[kind].model(model, request, clock.nowMs)
    }
  const wallet = {
    hold: act('hold'),
    settle: act('settle'),
    checkpoint: act('checkpoint'),
    void: act('void'),
    grant: act('grant'),
    voidGrant: act('voidGrant'),
    clawback: act('clawback'),
    payment: act('payment'),
    refund: act('refund'),
    resolveUnmatched: act('resolveUnmatched'),
    resolveFlagged: act('resolveFlagged'),
    closePeriod: act('closePeriod'),
    setStop: act('stop'),
    adjust: act('adjust'),
    setFrozen: act('freeze'),
    sweep: () => act('sweep')(null),
  } as unknown as Wallet
  const harness = { wallet, clock } as TestWallet
  const account = accountOf(harness, 'written')
  const { spend } = watchedCalls(harness)
  return {
    lastHold() {
      const step = steps.findLast(({ kind }) => kind === 'hold')
      if (step?.kind !== 'hold') throw new Error('no hold was asked for')
      return step.request
    },
    account,
    wallet,
    clock,
    model,
    steps,
    spend: (atoms, more) => spend(account, atoms, { alerts: undefined, ...more }),
    told: () => model.events.map(({ event }) => event),
  }
}

/** A test that writes a history and plays it. Call it once a file: it has a server of its own. */
export function historyTests(): (name: string, write: (history: WrittenHistory) => Promise<void>) => void {
  let histories: Histories
  beforeAll(async () => {
    if (redisAvailable) histories = await startHistories()
  })
  afterAll(async () => {
    await histories?.stop()
  })
  return (name, write) => {
    test.skipIf(!redisAvailable)(name, async () => {
      const history = writtenHistory()
      await write(history)
      expect((await histories.play(history.steps))?.problem).toBeUndefined()
    })
  }
}
