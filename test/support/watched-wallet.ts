/** A wallet whose plan watches it, and calls of its account. */
import type { WalletAlerts } from '../../src/core/alerts.ts'
import type { HoldRequest } from '../../src/wallet/wallet-types.ts'
import { accountOf, type TestAccount, type TestWallet } from './wallet.ts'

/** Names of the events in the ledger, each with the type of the entry before it. */
export async function eventsOf(account: TestAccount): Promise<readonly string[]> {
  const entries = await account.ledger()
  return entries.flatMap(({ type, fields }, i) =>
    type === 'event' ? [`${entries[i - 1]?.type} > ${String(fields['event'])}`] : [],
  )
}

export const watch = (more: Partial<WalletAlerts>) => ({
  alerts: { quiet: false, lows: [], expiresInMs: undefined, topUp: undefined, ...more },
})
export const BELOW_50 = watch({ lows: [{ kind: 'below', atoms: 50n }] })

/** Short calls for a wallet that is watched. */
export function watchedCalls(harness: TestWallet) {
  const spend = async (account: TestAccount, atoms: bigint, more: Partial<HoldRequest> = {}): Promise<void> => {
    const call = account.call(atoms, { ...BELOW_50, ...more })
    await harness.wallet.hold(call)
    await account.settle(call, atoms)
  }
  return {
    spend,
    /** A wallet of 100 whose plan says `BELOW_50`, as the first call of it has said. */
    async watched(more = BELOW_50): Promise<TestAccount> {
      const account = accountOf(harness)
      await account.grant(100n)
      const { id } = account.call(1n)
      await account.hold(1n, { id, ...more })
      await account.void(id)
      return account
    },
  }
}
