/** All that Redis keeps of an account, read at one moment: the strings of state.lua, sorted into their lists. */
import { field, type ScriptCaller } from './script-caller.ts'

/** Fields of a hash by name. */
export type Hash = ReadonlyMap<string, string>

export interface KeptState {
  /** 0: no ledger. */
  readonly firstSeq: number
  readonly lastSeq: number
  readonly entries: number
  /** The last entry that was exported and taken out of the ledger; 0: none. */
  readonly trimmedSeq: number
  readonly account: Hash
  readonly grants: Hash
  readonly order: readonly string[]
  /** Member -> ms. */
  readonly due: Hash
  readonly holds: Hash
  /** undefined: more than one read should bring. */
  readonly budgets: Hash | undefined
  readonly refunds: Hash | undefined
  /** Sequences of events that wait to be handed over. */
  readonly events: readonly string[]
}

// 100,000 strings are about 50 ms of Redis's time.
const FIELDS_MAX = 50_000

export async function readKeptState(scripts: ScriptCaller, account: string): Promise<KeptState> {
  const keys = scripts.keysOf(account)
  const reply = await scripts.call('state', [...keys.wallet, keys.refunds, keys.exported], [String(FIELDS_MAX)])
  let at = 4
  const list = (): readonly string[] | undefined => {
    const length = Number(field(reply, at++))
    if (length < 0) return undefined
    at += length
    return reply.slice(at - length, at)
  }
  const required = (): readonly string[] => list() ?? []
  return {
    firstSeq: Number(field(reply, 0)),
    lastSeq: Number(field(reply, 1)),
    entries: Number(field(reply, 2)),
    trimmedSeq: Number(field(reply, 3)),
    account: hashOf(required()),
    grants: hashOf(required()),
    order: required(),
    due: hashOf(required()),
    holds: hashOf(required()),
    budgets: optionalHash(list()),
    refunds: optionalHash(list()),
    events: required(),
  }
}

function hashOf(pairs: readonly string[]): Hash {
  const hash = new Map<string, string>()
  for (let i = 0; i + 1 < pairs.length; i += 2) hash.set(pairs[i] as string, pairs[i + 1] as string)
  return hash
}

function optionalHash(pairs: readonly string[] | undefined): Hash | undefined {
  return pairs && hashOf(pairs)
}
