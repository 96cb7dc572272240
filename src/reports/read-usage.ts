/** Usage of accounts, from their ledgers. */
import type { Wallet } from '../wallet/wallet-types.ts'
import { CallFactsReader, FundingReader } from './call-facts.ts'
import { ledgerBetween } from './ledger-scan.ts'
import { isCharge, type UsageOptions, UsageReport } from './usage-report.ts'

export type UsageWallet = Pick<Wallet, 'ledgerPage' | 'grants'>

/**
 * Reads the ledgers one after the other; memory is bounded by groupsMax, and by the open calls and grants of one account.
 * Throws TooManyGroups; and the signal's reason when nobody waits any more.
 */
export async function readUsage(
  wallet: UsageWallet,
  accounts: Iterable<string>,
  options: UsageOptions,
  signal?: AbortSignal,
): Promise<UsageReport> {
  const report = new UsageReport(options)
  for (const account of accounts) await addAccount(wallet, account, options, report, signal)
  return report
}

async function addAccount(
  wallet: UsageWallet,
  account: string,
  { sinceMs, untilMs }: UsageOptions,
  report: UsageReport,
  signal: AbortSignal | undefined,
): Promise<void> {
  const facts = new CallFactsReader(wallet, account)
  const funding = new FundingReader(wallet, account)
  for await (const entries of ledgerBetween(wallet, account, sinceMs, untilMs)) {
    signal?.throwIfAborted()
    for (const entry of entries) {
      const counts = isCharge(entry) || entry.type === 'refund'
      if (counts && entry.atMs >= sinceMs && entry.atMs < untilMs) {
        await funding.prepare(entry)
        report.add(entry, await facts.of(entry), (grant) => funding.of(grant))
      }
      facts.pass(entry)
    }
  }
}
