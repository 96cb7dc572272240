import type { KnownAccount } from '../accounts/directory.ts'
import { NAME } from '../config/fields.ts'
import { newId } from '../core/ids.ts'
import { AmountError, type Atoms, DEFAULT_SCALE, parseAmount } from '../core/money.ts'
import type { AdminResult, Balance } from '../wallet/wallet-types.ts'
import { refusalError, unknown, wrongField } from './admin-error.ts'
import { isCallersKey } from './first-answers.ts'
import { balanceJson, emptyBalance, headroomAtoms } from './render-wallet.ts'
import { type AdminDependencies, type Answer, type Asked, type Route, route } from './route.ts'
import { accountAnswer, adjustBody, pageOf, pageQuery, reasonBody } from './schemas.ts'

const CURRENCIES = new Set(Intl.supportedValuesOf('currency'))
// Accounts of a page that are read side by side.
const READS_AT_ONCE = 16

/** Decimals of a unit. Throws 422 for one that neither the config nor ISO 4217 knows: nothing could ever spend it. */
export function scaleOf(admin: AdminDependencies, unit: string): number {
  const { settings, plans } = admin.store.current()
  for (const plan of plans.values()) if (plan.unit === unit) return plan.scale
  const scale = settings.unitScales.get(unit)
  if (scale !== undefined) return scale
  if (CURRENCIES.has(unit)) return DEFAULT_SCALE
  throw wrongField('unit', 'is no ISO 4217 code, and neither a plan nor "units" in the config has it')
}

/** Throws 422 naming `amount`. */
export function amountOf(text: string, scale: number): Atoms {
  try {
    return parseAmount(text, scale)
  } catch (error) {
    if (error instanceof AmountError) throw wrongField('amount', error.message, error.code)
    throw error
  }
}

/** Its balances and its place in files or Redis. Throws 404 for an account that neither they nor a wallet know. */
async function find(
  admin: AdminDependencies,
  id: string,
  looked: KnownAccount | undefined,
): Promise<{
  readonly known: KnownAccount | undefined
  readonly balances: readonly Balance[]
  readonly frozen: boolean
}> {
  if (!NAME.test(id)) throw unknown('account', id)
  const known = looked ?? (await admin.accounts.look(id))
  const balances = await admin.wallet.balances(id)
  const first = balances[0]
  if (first) return { known, balances, frozen: first.frozen }
  if (!known) throw unknown('account', id)
  // Without a wallet the ledger has nothing but freezes: the last one counts.
  const freezes = await admin.wallet.ledger(id, { afterSeq: 0, limit: 1000, type: 'freeze' })
  const last = freezes.at(-1)?.fields['frozen']
  return { known, balances, frozen: last === true || last === 1 || last === '1' }
}

/** Throws 404 as `find` does. */
export async function mustExist(admin: AdminDependencies, id: string): Promise<void> {
  if (!NAME.test(id)) throw unknown('account', id)
  if (!(await admin.accounts.find(id))) await find(admin, id, undefined)
}

/** `looked`: as a list has it; left out: it is looked for. */
export async function accountJson(admin: AdminDependencies, id: string, nowMs: number, looked?: KnownAccount) {
  const { known, balances, frozen } = await find(admin, id, looked)
  const plan = known?.plan
  const limited = plan && ['negative', 'overflow'].includes(plan.onExhausted.mode)
  let heldOverageAtoms = 0n
  for (const hold of limited ? await admin.wallet.holds(id) : []) {
    if (hold.unit === plan?.unit) heldOverageAtoms += hold.overageAtoms
  }
  const all = [...balances]
  if (plan && !all.some((balance) => balance.unit === plan.unit)) all.push(emptyBalance(plan.unit, plan.scale, frozen))
  return {
    id,
    plan: known?.planName ?? null,
    status: known?.closed ? 'closed' : frozen ? 'frozen' : 'active',
    source: known?.source ?? null,
    problem: known?.problem ?? null,
    labels: known?.labels ?? {},
    plan_overrides: known?.overrides ?? {},
    balances: all.map((balance) => balanceJson(balance, headroomAtoms(balance, plan, heldOverageAtoms, nowMs))),
  }
}

/** The account after what was done to it: 200 each time, and the first answer again to who repeats it. */
export async function accountAfter(
  { admin, operationId, nowMs }: Pick<Asked<unknown, unknown>, 'admin' | 'operationId' | 'nowMs'>,
  id: string,
  result: AdminResult<unknown>,
): Promise<Answer> {
  if (result.status !== 'done') throw refusalError(result.status)
  return { status: 200, body: await firstBody(admin, id, operationId, await accountJson(admin, id, nowMs)) }
}

/** What an operation was answered the first time, on whichever gateway; `body` where this is the first. */
export async function firstBody(
  admin: Pick<AdminDependencies, 'wallet'>,
  account: string,
  operationId: string,
  body: unknown,
): Promise<unknown> {
  if (!isCallersKey(operationId)) return body
  return JSON.parse(await admin.wallet.firstAnswer(account, operationId, JSON.stringify(body)))
}

const list = route({
  method: 'GET',
  path: '/accounts',
  role: 'viewer',
  summary: 'Accounts of the files and of Redis, by id',
  query: pageQuery,
  answer: pageOf(accountAnswer),
  async handle({ admin, query, nowMs }) {
    const page = await admin.accounts.page(query.after, query.limit)
    const items: unknown[] = []
    for (let start = 0; start < page.items.length; start += READS_AT_ONCE) {
      const some = page.items.slice(start, start + READS_AT_ONCE)
      items.push(...(await Promise.all(some.map((known) => accountJson(admin, known.id, nowMs, known)))))
    }
    return { status: 200, body: { items, next: page.more ? (page.items.at(-1)?.id ?? null) : null } }
  },
})

const read = route({
  method: 'GET',
  path: '/accounts/:account',
  role: 'viewer',
  summary: 'One account with its balances',
  answer: accountAnswer,
  async handle({ admin, path, nowMs }) {
    return { status: 200, body: await accountJson(admin, path['account'] ?? '', nowMs) }
  },
})

const adjust = route({
  method: 'POST',
  path: '/accounts/:account/adjust',
  role: 'finance',
  summary:
    'Correct a wallet by hand: a positive amount repays debt, then becomes a promotional grant; a negative one voids free credit',
  body: adjustBody,
  answer: accountAnswer,
  async handle(asked) {
    const { admin, path, body, actor, operationId, nowMs } = asked
    const account = path['account'] ?? ''
    const scale = scaleOf(admin, body.unit)
    const amountAtoms = amountOf(body.amount, scale)
    if (amountAtoms === 0n) throw wrongField('amount', 'must not be 0')
    await mustExist(admin, account)
    const { unit, reason } = body
    const grantId = newId(nowMs)
    const request = { account, operationId, grantId, unit, scale, amountAtoms, reason, actor: actor.name }
    return accountAfter(asked, account, await admin.wallet.adjust(request))
  },
})

function freezing(frozen: boolean): Route {
  return route({
    method: 'POST',
    path: `/accounts/:account/${frozen ? 'freeze' : 'unfreeze'}`,
    role: 'finance',
    summary: frozen ? 'Refuse new calls; open ones go on and settle' : 'Allow calls again',
    body: reasonBody,
    answer: accountAnswer,
    async handle(asked) {
      const { admin, path, body, actor, operationId } = asked
      const account = path['account'] ?? ''
      await mustExist(admin, account)
      const request = { account, operationId, frozen, reason: body.reason, actor: actor.name }
      return accountAfter(asked, account, await admin.wallet.setFrozen(request))
    },
  })
}

export const ACCOUNT_ROUTES: readonly Route[] = [list, read, adjust, freezing(true), freezing(false)]
