/**
 * Histories of an account, run against the scripts and against the model side by side: a random one of a seed, or a list
 * of steps. Every answer is compared; what is kept of the account after each step, or after some of them.
 */
import type { Refusal, Wallet } from '../../src/wallet/wallet-types.ts'
import { checkBooks, compareAnswers, compareLedger, compareLists, compareReads } from './comparing.ts'
import { type Written, writtenBy } from './own-entries.ts'
import { beginHistory, nextStep, START_MS } from './random-steps.ts'
import { refusalBy } from './refusals.ts'
import { ACTS, type Kind, type Step } from './steps.ts'
import type { Tally } from './tally.ts'
import { WalletModel } from './wallet-model.ts'

/** Reads are compared after every so many steps: the answers of all others are, and a history is run again closely. */
const READ_EACH = 16
/** One history in so many is compared closely from the first. */
const CLOSE_EACH = 24
const CHECK_EACH = 25

export interface Divergence {
  readonly steps: readonly Step[]
  readonly problem: string
}
export interface HistoryOptions {
  readonly tally?: Tally
  /** Enough to know that it fails, not where. */
  readonly anywhere?: boolean
}
export type MakeWallet = (clock: () => number) => Wallet

interface Player {
  readonly wallet: Wallet
  readonly model: WalletModel
  readonly clock: { nowMs: number }
  readonly played: Step[]
  readonly written: Written[]
  readonly refused: Refusal[]
  readonly tally: Tally | undefined
}

/** undefined where scripts and model agree. */
export async function runHistory(
  seed: number,
  account: string,
  makeWallet: MakeWallet,
  steps: number,
  { tally, anywhere = false }: HistoryOptions = {},
): Promise<Divergence | undefined> {
  const close = seed % CLOSE_EACH === 0
  const found = await runSeed(seed, account, makeWallet, steps, close, tally)
  if (found === undefined || close || anywhere) return found
  // The same again, to find the step after which they differ.
  return (await runSeed(seed, `${account}-closely`, makeWallet, steps, true)) ?? found
}

async function runSeed(
  seed: number,
  account: string,
  makeWallet: MakeWallet,
  steps: number,
  readEach: boolean,
  tally?: Tally,
): Promise<Divergence | undefined> {
  const history = beginHistory(seed, account)
  const { model } = history
  const clock = { nowMs: START_MS }
  const player = { wallet: makeWallet(() => clock.nowMs), model, clock, played: [], written: [], refused: [], tally }
  // What is due is swept by a check: the places of checks are the seed's, however closely it is looked at.
  const checks = seed % CLOSE_EACH === 0 ? CHECK_EACH : steps
  for (let step = 1; step <= steps; step++) {
    const reads = readEach || step % READ_EACH === 0 || step === steps
    const problem = await play(player, nextStep(history), reads)
    if (problem !== undefined) return { steps: player.played, problem }
    if (step % checks !== 0) continue
    const atCheck = await play(player, { kind: 'check', atMs: history.clock.nowMs, request: null }, reads)
    if (atCheck !== undefined) return { steps: player.played, problem: atCheck }
  }
  return undefined
}

/** Steps of whatever account, played on a new one: closely, with the books proven at their end. */
export async function playSteps(
  steps: readonly Step[],
  account: string,
  makeWallet: MakeWallet,
): Promise<Divergence | undefined> {
  const clock = { nowMs: START_MS }
  const player = {
    wallet: makeWallet(() => clock.nowMs),
    model: new WalletModel(account),
    clock,
    played: [],
    written: [],
    refused: [],
    tally: undefined,
  }
  const last = { kind: 'check', atMs: steps.at(-1)?.atMs ?? START_MS, request: null } as const
  for (const step of steps.at(-1)?.kind === 'check' ? steps : [...steps, last]) {
    const problem = await play(player, addressed(step, account), true)
    if (problem !== undefined) return { steps: player.played, problem }
  }
  return undefined
}

function addressed(step: Step, account: string): Step {
  if (step.request === null) return step
  const request =
    'terms' in step.request
      ? { ...step.request, terms: { ...step.request.terms, account } }
      : { ...step.request, account }
  return { ...step, request } as Step
}

/** What differs, or undefined. */
async function play(player: Player, step: Step, reads: boolean): Promise<string | undefined> {
  const { wallet, model, clock, played, written, refused, tally } = player
  played.push(step)
  clock.nowMs = step.atMs
  const act = ACTS[step.kind] as (typeof ACTS)[Kind & 'hold']
  const request = step.request as Parameters<typeof act.script>[1]
  try {
    if (step.kind === 'check') await checkBooks(wallet, model)
    const before = { seq: model.seq, heldAtoms: heldBefore(step, model) }
    const [answer, expected] = await Promise.all([
      answerOf(() => act.script(wallet, request, model.account)),
      answerOf(() => act.model(model, request, step.atMs)),
    ])
    tally?.count(step.kind, expected)
    compareAnswers(answer, expected)
    const own = writtenBy(step, expected, model, before)
    if (own) written.push(own)
    const refusal = refusalBy(step, expected)
    if (refusal) refused.push(refusal)
    if (reads) await compareReads(wallet, model, step.atMs)
    if (step.kind === 'check') {
      await checkBooks(wallet, model)
      await compareLists(wallet, model, refused)
      await compareLedger(wallet, model, step.atMs, written)
    }
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function heldBefore(step: Step, model: WalletModel): bigint | undefined {
  if (step.kind === 'settle') return model.heldAtomsOf(step.request.terms.id)
  return step.kind === 'checkpoint' ? model.heldAtomsOf(step.request.id) : undefined
}

async function answerOf(act: () => unknown): Promise<unknown> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof Error && /out_of_range/.test(error.message)) return 'out_of_range'
    throw error
  }
}
