/** Puts an account right that is not what its ledger says: what the ledger proves is written, all of it or nothing. */
import { WalletUnavailable } from '../errors.ts'
import { checkAccount, compareKept } from './check-account.ts'
import type { Difference } from './differences.ts'
import type { Hash, KeptState } from './kept-state.ts'
import { rebuildState } from './rebuild-state.ts'
import { field, type ScriptCaller, statusOf } from './script-caller.ts'
import type { RepairResult, Wallet } from './wallet-types.ts'

// Calls go on: each of them writes an entry.
const ATTEMPTS = 20
// What the entry names; how many there were it says too.
const NAMED = 50

type Change = readonly [key: number, name: string, before: string | false, after: string | false]

/**
 * Compares with the whole ledger. `refused` says what it does not prove; nothing was changed then. `moving`: calls changed
 * the account between each comparison and its repair: freeze it first.
 */
export async function repairAccount(
  scripts: ScriptCaller,
  { account, dryRun, reason, actor }: Parameters<Wallet['repair']>[0],
): Promise<RepairResult> {
  for (let attempt = 0; ; attempt++) {
    const { differences, kept, state, seq } = await checkAccount(scripts, account, 'first')
    if (differences.length === 0) return { status: 'whole', seq, repaired: [], unproven: [] }
    const unproven = kept && state ? await whatStays(kept, state, differences) : differences
    if (kept === undefined || state === undefined || unproven.length > 0)
      return { status: 'refused', seq, repaired: [], unproven }
    if (dryRun) return { status: 'would_repair', seq, repaired: differences, unproven }
    if (attempt === ATTEMPTS) return { status: 'moving', seq, repaired: [], unproven }
    const rebuilt = rebuildState(kept, state)
    const written = await write(scripts, account, kept, rebuilt, { reason, actor, differences })
    if (written !== undefined) return { status: 'repaired', seq: written, repaired: differences, unproven }
  }
}

/** What would still differ after the repair; and what is no state at all: entries of the ledger itself. */
async function whatStays(
  kept: KeptState,
  state: NonNullable<Awaited<ReturnType<typeof checkAccount>>['state']>,
  differences: readonly Difference[],
): Promise<readonly Difference[]> {
  const ofLedger = differences.filter(({ field }) => /^(?:ledger|snapshot)\b/.test(field))
  if (ofLedger.length > 0) return ofLedger
  try {
    return await compareKept(rebuildState(kept, state), state)
  } catch (error) {
    if (!(error instanceof Error) || error instanceof WalletUnavailable) throw error
    return [{ field: 'state', kept: error.message, ledger: 'records that can be read' }]
  }
}

interface Told {
  readonly reason: string
  readonly actor: string
  readonly differences: readonly Difference[]
}

/** The sequence of the entry; undefined where something moved meanwhile. */
async function write(
  scripts: ScriptCaller,
  account: string,
  kept: KeptState,
  rebuilt: KeptState,
  { reason, actor, differences }: Told,
): Promise<number | undefined> {
  const keys = scripts.keysOf(account)
  const record = /^(1\|)\d+\|(\d+)(\|.*)$/.exec(rebuilt.account.get('account') ?? '')
  if (!record) throw new TypeError('the rebuilt account has no record')
  const [, head = '', lastMs = '', tail = ''] = record
  const info = JSON.stringify({ reason, fields: differences.length, repaired: differences.slice(0, NAMED) })
  const changes = JSON.stringify(changesOf(kept, rebuilt))
  const args = [String(kept.lastSeq), lastMs, head, tail, encodeURIComponent(actor), info, changes]
  const reply = await scripts.call('repair', [...keys.wallet, keys.refunds], args)
  return statusOf(reply, ['repaired', 'moved']) === 'repaired' ? Number(field(reply, 1)) : undefined
}

/** In the order of the script's keys. The account's own record is written whatever it was: its sequence goes on. */
function changesOf(kept: KeptState, rebuilt: KeptState): readonly Change[] {
  const scored = (members: readonly string[], score: (member: string) => string): Hash =>
    new Map(members.map((member) => [member, score(member)]))
  const zero = (): string => '0'
  const own = (seq: string): string => seq
  return [
    ...changed(1, kept.account, rebuilt.account),
    ...changed(2, kept.grants, rebuilt.grants),
    ...changed(3, scored(kept.order, zero), scored(rebuilt.order, zero)),
    ...changed(4, kept.due, rebuilt.due),
    ...changed(5, kept.holds, rebuilt.holds),
    ...changed(7, kept.budgets, rebuilt.budgets),
    ...changed(8, scored(kept.events, own), scored(rebuilt.events, own)),
    ...changed(9, kept.refunds, rebuilt.refunds),
  ]
}

function changed(key: number, before: Hash = new Map(), after: Hash = new Map()): readonly Change[] {
  const names = new Set([...before.keys(), ...after.keys()])
  return [...names].flatMap((name): Change[] => {
    const is: string | false = before.get(name) ?? false
    const shall: string | false = after.get(name) ?? false
    return is === shall ? [] : [[key, name, is, shall]]
  })
}
