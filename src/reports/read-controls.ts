/** Do the controls work: the ledgers and refusals of accounts, one after the other. */
import type { Wallet } from '../wallet/wallet-types.ts'
import { ControlFigures } from './control-figures.ts'
import { ControlsOfAccount, type OverageLimit } from './controls.ts'
import { ledgerBetween } from './ledger-scan.ts'

export type ControlsWallet = Pick<Wallet, 'ledgerPage' | 'grants' | 'refusals' | 'counts'>

interface ControlsOptions {
  /** Inclusive and exclusive. */
  readonly sinceMs: number
  readonly untilMs: number
  readonly limitOf: (account: string) => OverageLimit
}

export interface ControlsReport {
  readonly accounts: ReadonlyMap<string, ControlFigures>
  readonly total: ControlFigures
}

/** Throws the signal's reason when nobody waits any more. */
export async function readControls(
  wallet: ControlsWallet,
  accounts: Iterable<string>,
  options: ControlsOptions,
  signal?: AbortSignal,
): Promise<ControlsReport> {
  const total = new ControlFigures()
  const own = new Map<string, ControlFigures>()
  for (const account of accounts) {
    const figures = new ControlFigures()
    own.set(account, figures)
    await addAccount(wallet, account, options, [figures, total], signal)
  }
  return { accounts: own, total }
}

// The list is cut at about so many.
const REFUSALS_KEPT = 1000

async function addAccount(
  wallet: ControlsWallet,
  account: string,
  { sinceMs, untilMs, limitOf }: ControlsOptions,
  all: readonly ControlFigures[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const [grants, refusals, counts] = [
    await wallet.grants(account),
    await wallet.refusals(account),
    await wallet.counts(account),
  ]
  const controls = new ControlsOfAccount(all, { sinceMs, untilMs }, grants, limitOf(account))
  const isCutShort = refusals.length >= REFUSALS_KEPT && (refusals[0]?.atMs ?? 0) > sinceMs
  for (const figures of all) {
    figures.unmatchedWaiting += counts.unmatched
    figures.refusalsCutShort ||= isCutShort
  }
  for (const refusal of refusals) controls.addRefusal(refusal)
  for await (const entries of ledgerBetween(wallet, account, Number.NEGATIVE_INFINITY, untilMs)) {
    signal?.throwIfAborted()
    for (const entry of entries) controls.add(entry)
    await controls.judged()
  }
}
