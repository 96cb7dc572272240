import type { AdminDependencies } from './route.ts'

/** Ids of all accounts, sorted: what every call that is about all of them goes by. */
export async function listAccounts(admin: AdminDependencies): Promise<readonly string[]> {
  return [...admin.store.current().accounts.keys()].sort()
}
