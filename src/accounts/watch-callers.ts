/** Keeps what a process remembers of accounts and keys true: each change of one is told to every gateway. */
import type { ConnectOptions } from '../redis/client.ts'
import { Subscription } from '../redis/subscription.ts'
import type { AccountStore } from './account-store.ts'
import { Callers } from './callers.ts'

/** As redis-scripts/lib/accounts.lua has it: `account ID` and `key SHA256`. */
const CHANGES = 'tg:accounts'

export function watchCallers(
  store: AccountStore,
  connect: Pick<ConnectOptions, 'url' | 'connectMs' | 'commandMs'>,
): { readonly callers: Callers; stop(): void } {
  const callers = new Callers({ store, heard: () => subscription.listens })
  const subscription = new Subscription({
    connect,
    channel: CHANGES,
    onMessage: (message) => {
      const [kind = '', id = ''] = message.split(' ')
      if (kind === 'account' || kind === 'key') callers.drop(kind, id)
    },
    onGap: () => callers.dropAll(),
  })
  return { callers, stop: () => subscription.close() }
}
