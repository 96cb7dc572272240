import { fileURLToPath } from 'node:url'
import { type AccountKeys, accountKeys, accountOfKey } from '../redis/keys.ts'
import { createScriptRunner, type ScriptClient } from '../redis/run-script.ts'
import { loadScripts, type Script } from '../redis/script-loader.ts'
import type { LedgerArchive } from './ledger.ts'

export interface WalletOptions {
  /** Default: redis-scripts/ beside src/. */
  readonly directory?: string
  /** Tests: scripts that were loaded before, once for many wallets. */
  readonly scripts?: ReadonlyMap<string, Script>
  /** Leaves out the `#!lua` line, for a server that does not know it (js-redis-server). */
  readonly stripShebang?: boolean
  /** Tests: the time in ms that the scripts take in place of Redis's own. */
  readonly testClock?: () => number
  /**
   * Told of each answer that says that events of the account wait to be handed over, as long as they wait: it is to be
   * cheap, and to know by itself whether somebody is at it already.
   */
  readonly onEvents?: (account: string) => void
  /** The exported ledgers; without it there is only what Redis has. */
  readonly archive?: LedgerArchive | undefined
  /** Told of each round trip of a script, for metrics. */
  readonly onDuration?: (script: string, seconds: number) => void
}

/** A reply of strings: the status first. */
export type Reply = readonly string[]

export interface ScriptCaller {
  /** Runs a script of `redis-scripts/`, again and again while it answers sweep_again. */
  call(name: string, keys: readonly string[], args: readonly string[]): Promise<Reply>
  keysOf(account: string): AccountKeys
  readonly archive: LedgerArchive | undefined
}

/** Before the status of an answer: `tell` in redis-scripts/lib/account.lua. */
const EVENTS_WAIT = '!'

// 10,000 holds and 10,000 grants that are all due at once are done in fewer rounds of 32.
const ROUNDS_MAX = 1000

export function createScriptCaller(client: ScriptClient, options: WalletOptions): ScriptCaller {
  const directory = options.directory ?? fileURLToPath(new URL('../../redis-scripts', import.meta.url))
  const { stripShebang = false, testClock, onDuration, onEvents } = options
  // js-redis-server's Lua is WebAssembly, where a long has 32 bits; of others the start-up check wants 64.
  const longBits = stripShebang ? 32 : 64
  const clock = testClock ? 'argument' : 'redis'
  const scripts = options.scripts ?? loadScripts(directory, { stripShebang, longBits, clock })
  const run = createScriptRunner(client)
  const once = async (script: Script, keys: readonly string[], args: readonly string[]): Promise<string[]> =>
    strings(script.name, await run(script, keys, testClock ? [...args, String(testClock())] : args))
  return {
    keysOf: accountKeys,
    archive: options.archive,
    async call(name, keys, args) {
      const script = scripts.get(name)
      if (!script) throw new TypeError(`no script ${name} in ${directory}`)
      if (args.length !== script.argumentCount) throw new TypeError(`${name} takes ${script.argumentCount} arguments`)
      for (let round = 1; round <= ROUNDS_MAX; round++) {
        const startedMs = performance.now()
        const reply = await once(script, keys, args)
        onDuration?.(name, (performance.now() - startedMs) / 1000)
        if (reply[0]?.startsWith(EVENTS_WAIT)) {
          reply[0] = reply[0].slice(EVENTS_WAIT.length)
          onEvents?.(accountOfKey(keys[0] as string))
        }
        if (reply[0] !== 'sweep_again') return reply
      }
      throw new Error(`${name}: still sweeping after ${ROUNDS_MAX} rounds`)
    },
  }
}

function strings(name: string, reply: unknown): string[] {
  if (Array.isArray(reply) && reply.every((field): field is string => typeof field === 'string')) return reply
  throw new TypeError(`${name} answered something else than a list of strings`)
}

/** The status, checked against those that the script documents. */
export function statusOf<S extends string>(reply: Reply, statuses: readonly S[]): S {
  const status = statuses.find((known) => known === reply[0])
  if (status === undefined) throw new TypeError(`unknown status ${String(reply[0])}`)
  return status
}

/** A field that the script's header promises. */
export function field(parts: readonly string[], index: number): string {
  const value = parts[index]
  if (value === undefined) throw new TypeError(`the reply has no field ${index}`)
  return value
}
