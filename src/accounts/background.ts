/** What goes through all accounts beside the calls, as it sees those in Redis: page by page, since there may be very many. */
import type { Allowance } from '../core/allowance.ts'
import type { OtherAccounts } from '../wallet/allowance-keeper.ts'
import type { AccountDirectory, KnownAccount } from './directory.ts'

/** For the sweep at a start. */
export async function* idsInRedis(directory: AccountDirectory): AsyncGenerator<readonly string[]> {
  for await (const page of directory.inRedis()) yield page.map(({ id }) => id)
}

/** For gauges, which are for some alone. */
export async function firstInRedis(directory: AccountDirectory, most: number): Promise<readonly string[]> {
  const ids: string[] = []
  let after: string | undefined
  while (ids.length < most) {
    const { items, more } = await directory.page(after, Math.min(500, most))
    for (const { id, source } of items) if (source === 'redis' && ids.length < most) ids.push(id)
    if (!more) break
    after = items.at(-1)?.id
  }
  return ids
}

/** `defaultAllowance`: of an account that is known by a token alone, which calls alone ask for. */
export function allowancesInRedis(
  directory: AccountDirectory,
  defaultAllowance: () => Allowance | undefined,
): OtherAccounts {
  return {
    async find(id) {
      const known = await directory.find(id)
      if (known) return isTold(known) ? allowanceOf(known) : undefined
      const allowance = defaultAllowance()
      return allowance && { allowance }
    },
    async *pages() {
      for await (const page of directory.inRedis()) {
        yield page.filter(isTold).map((known) => ({ id: known.id, ...allowanceOf(known) }))
      }
    },
  }
}

/** An account whose plan is missing for a while must not lose what it was given. */
function isTold({ closed, plan }: KnownAccount): boolean {
  return closed || plan !== undefined
}

function allowanceOf({ closed, plan }: KnownAccount) {
  return { allowance: closed ? undefined : plan?.allowance }
}
