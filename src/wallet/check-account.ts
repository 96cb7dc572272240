import { setImmediate } from 'node:timers/promises'
import { EntriesMissing, WalletUnavailable } from '../errors.ts'
import { compareBudgets } from './compare-budgets.ts'
import { compareDue, compareGrants, compareHolds } from './compare-grants.ts'
import { accountTime, compareAccount, compareWallets, money } from './compare-wallets.ts'
import { collectDifferences, type Differences } from './differences.ts'
import { sweep } from './holds.ts'
import { type KeptState, readKeptState } from './kept-state.ts'
import { readPage } from './ledger.ts'
import { createReplay, type Replay, type ReplayState } from './replay.ts'
import { readReplay } from './replay-snapshot.ts'
import type { ScriptCaller } from './script-caller.ts'
import type { CheckedAccount, LedgerEntry } from './wallet-types.ts'

// Sweeps of 32 items: 10,000 holds and grants that are all due at once are done in fewer.
const SWEEPS_MAX = 1000

// A few milliseconds of this process each.
const PAGE = 250

const NEVER_IN_LEDGER = [
  'holds: deadline beside its edge, policy, floor, overage at price, price version, facts and arguments of the call',
  'grants: payment and rollover terms, facts of those that the wallet made by itself',
  'what holds count in budgets: floor, known part and limit',
  'budgets: end of a window, life and last use of a counter, its group',
  'operation records, grant keys, refusals, how many events were dropped',
]

/**
 * Where a replay begins. first: with the first entry there ever was; snapshot: with the latest snapshot; redis: with the
 * first entry where Redis still has it, else with the snapshot.
 */
export type CheckedFrom = 'first' | 'snapshot' | 'redis'

/** What a check read, for those who go on with it. `state` undefined: the ledger says of none. */
export interface Checked extends CheckedAccount {
  readonly kept: KeptState | undefined
  readonly state: ReplayState | undefined
}

/**
 * Recomputes an account from its ledger alone and compares it with what Redis keeps. Calls may go on meanwhile: the state
 * is read in one script together with the last sequence, and the ledger is replayed up to it.
 */
export async function checkAccount(
  scripts: ScriptCaller,
  account: string,
  from: CheckedFrom = 'redis',
): Promise<Checked> {
  const differences = collectDifferences()
  let kept: KeptState
  try {
    kept = await readSettled(scripts, account)
  } catch (error) {
    if (!(error instanceof Error) || error instanceof WalletUnavailable) throw error
    differences.found.push({ field: 'state', kept: error.message, ledger: 'keys of their types' })
    return { seq: 0, differences: differences.found, notChecked: ['everything'], kept: undefined, state: undefined }
  }
  const notChecked = [...NEVER_IN_LEDGER]
  const result = (state: ReplayState | undefined): Checked => ({
    seq: kept.lastSeq,
    differences: differences.found,
    notChecked,
    kept,
    state,
  })
  if (kept.lastSeq === 0 && kept.account.size === 0) {
    notChecked.length = 0
    return result(createReplay().state)
  }
  const firstSeq = kept.trimmedSeq + 1
  // Without its beginning nothing follows: it is a difference, and all else is not checked.
  if (kept.lastSeq > 0 && kept.firstSeq !== firstSeq) {
    differences.same('ledger.first_seq', kept.firstSeq, firstSeq)
    notChecked.unshift(`everything but the ledger itself: it begins at ${kept.firstSeq}, what came before is missing`)
    return result(undefined)
  }
  differences.same('ledger.entries', kept.entries, kept.lastSeq - kept.trimmedSeq)
  const replay = await beginReplay(scripts, account, kept, from, differences)
  const failed = await replayTo(scripts, account, replay, kept.lastSeq, differences)
  if (failed !== undefined) {
    differences.found.push({ field: 'ledger', kept: failed, ledger: 'entries that follow from each other' })
    notChecked.unshift('everything but the ledger itself: it cannot be replayed')
    return result(undefined)
  }
  await compareState(differences, kept, replay.state, notChecked)
  return result(replay.state)
}

async function beginReplay(
  scripts: ScriptCaller,
  account: string,
  kept: KeptState,
  from: CheckedFrom,
  differences: Differences,
): Promise<Replay> {
  if (from === 'first' || (from === 'redis' && kept.trimmedSeq === 0)) return createReplay()
  try {
    const snapshot = await scripts.archive?.snapshot(account)
    const replay = snapshot !== undefined && snapshot.seq <= kept.lastSeq ? readReplay(snapshot.state) : undefined
    if (replay !== undefined) return replay
  } catch (error) {
    // The books may still have the ledger from its first entry on.
    differences.found.push({ field: 'snapshot', kept: (error as Error).message, ledger: 'as it was written' })
  }
  return createReplay()
}

/** What a check finds between a state as it is kept and as a replay has it, without a look at the ledger. */
export async function compareKept(kept: KeptState, state: ReplayState): Promise<Differences['found']> {
  const differences = collectDifferences()
  await compareState(differences, kept, state, [])
  return differences.found
}

/** The state of an account in which nothing was due at its own time: a sweep in batches has in-between states. */
async function readSettled(scripts: ScriptCaller, account: string): Promise<KeptState> {
  for (let sweeps = 0; ; sweeps++) {
    const kept = await readKeptState(scripts, account)
    const nowMs = accountTime(kept)
    const isDue = nowMs !== undefined && [...kept.due.values()].some((ms) => Number(ms) <= nowMs)
    if (!isDue || sweeps === SWEEPS_MAX) return kept
    try {
      await sweep(scripts, account)
    } catch (error) {
      if (error instanceof WalletUnavailable) throw error
      // A record that stops the sweep is what is looked for: it is compared as it is.
      return kept
    }
  }
}

/** A page at a time, so that neither Redis nor this process does anything long at once. Answers why it failed. */
async function replayTo(
  scripts: ScriptCaller,
  account: string,
  replay: Replay,
  lastSeq: number,
  differences: Differences,
): Promise<string | undefined> {
  while (replay.state.seq < lastSeq) {
    try {
      const page = await readPage(scripts, account, replay.state.seq + 1, PAGE, undefined)
      if (page.entries.length === 0) return `no entry ${replay.state.seq + 1}`
      for (const entry of page.entries) {
        if (entry.seq > lastSeq) break
        replay.apply(entry, await chargeOf(scripts, account, entry))
        compareAfter(differences, entry, replay.state)
      }
    } catch (error) {
      // Redis away is no finding; what the entry's own form makes of it is.
      if (!(error instanceof Error) || error instanceof WalletUnavailable) throw error
      return error.message
    }
  }
  return undefined
}

async function chargeOf(scripts: ScriptCaller, account: string, entry: LedgerEntry): Promise<LedgerEntry | undefined> {
  const charge = entry.type === 'refund' ? Number(entry.fields['charge']) : 0
  if (!(charge > 0)) return undefined
  try {
    return (await readPage(scripts, account, charge, 1, undefined)).entries.find(({ seq }) => seq === charge)
  } catch (error) {
    // Then what the refund took off budgets is not known, and said to be not checked.
    if (error instanceof EntriesMissing) return undefined
    throw error
  }
}

const OWED = ['debt', 'flagged', 'postpaid'] as const

/** Balances that an entry says are what its legs and those before it come to. */
function compareAfter({ same }: Differences, entry: LedgerEntry, { wallets }: ReplayState): void {
  const wallet = entry.unit === '' ? undefined : wallets.get(entry.unit)
  if (!wallet || Object.keys(entry.balanceAfter).length === 0) return
  for (const name of OWED) {
    const said = entry.balanceAfter[name] ?? 0n
    const is = wallet.owed.get(name) ?? 0n
    if (said !== is) same(`ledger ${entry.seq}.${name} after`, money(said, entry.scale), money(is, entry.scale))
  }
}

/** A kind of record at a time: an account with thousands of each must not keep calls waiting. */
async function compareState(
  differences: Differences,
  kept: KeptState,
  state: ReplayState,
  notChecked: string[],
): Promise<void> {
  const nowMs = accountTime(kept) ?? state.lastMs
  const kinds = [
    () => compareAccount(differences, kept, state),
    () => compareWallets(differences, kept, state, nowMs),
    () => compareGrants(differences, kept, state, nowMs),
    () => compareHolds(differences, kept, state),
    () => compareDue(differences, kept, state, nowMs),
    () => compareBudgets(differences, kept, state, nowMs, notChecked),
    () => compareRefunds(differences, kept, state, notChecked),
  ]
  for (const compare of kinds) {
    compare()
    await setImmediate()
  }
}

function compareRefunds({ same }: Differences, kept: KeptState, state: ReplayState, notChecked: string[]): void {
  if (kept.refunds === undefined) {
    notChecked.push('refunds: more than one read should bring')
    return
  }
  for (const charge of new Set([...kept.refunds.keys(), ...state.refunds.keys()])) {
    same(`refunded of charge ${charge}`, kept.refunds.get(charge), state.refunds.get(charge))
  }
}
