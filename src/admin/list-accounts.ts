import type { AdminDependencies } from './route.ts'

/** Ids of all accounts, sorted: what a call that is about all of them at once goes by. */
export async function listAccounts(admin: AdminDependencies): Promise<readonly string[]> {
  const ids: string[] = []
  for (let more = true; more; ) {
    const page = await admin.accounts.page(ids.at(-1), 1000)
    for (const { id } of page.items) ids.push(id)
    more = page.more
  }
  return ids
}
