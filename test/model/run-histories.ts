/** Random histories of one seed after another, several side by side on one connection to a server of their own. */
import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import type { ScriptClient } from '../../src/redis/run-script.ts'
import type { Script } from '../../src/redis/script-loader.ts'
import { loadScripts } from '../../src/redis/script-loader.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { startRedis } from '../support/redis.ts'
import { type Divergence, type HistoryOptions, playSteps, runHistory } from './random-history.ts'
import { shrink } from './shrink.ts'
import type { Step } from './steps.ts'

export const SCRIPTS = new URL('../../redis-scripts', import.meta.url).pathname
export const STEPS = 150
const AT_ONCE = 16
/** Of one history: about 2,000 are usual. A script that never comes to its end is a failure like any other. */
const CALLS_MAX = 20_000

export interface Failure extends Divergence {
  readonly seed: number
}

export interface Histories {
  /** Of the seeds from `firstSeed` on: the first that was seen to fail, or none. The server is emptied afterwards. */
  run(firstSeed: number, count: number, options?: HistoryOptions): Promise<Failure | undefined>
  runSeeds(seeds: readonly number[], options?: HistoryOptions): Promise<Failure | undefined>
  play(steps: readonly Step[]): Promise<Divergence | undefined>
  /** Takes the steps out of a failure without which it fails as well. */
  shrink(failure: Failure): Promise<Failure>
  /** Whether the server is at a script that does not come to its end. */
  isBusy(): Promise<boolean>
  /** Others in place of those on disk. */
  use(scripts: ReadonlyMap<string, Script>): void
  stop(how?: 'term' | 'kill'): Promise<void>
}

/** Where the records of refusals get their life, which Redis ends by its own clock: of a minute. */
const SHORT_LIVES = new Map([
  ['lib/operation.lua', 'local REFUSED_MS = 60000'],
  ['lib/refused_hold.lua', 'local DENIALS_MS = 60000'],
])

/** With `texts` in place of those on disk. Records of refusals outlive a history, on a busy machine too. */
export function scriptsForModel(texts?: ReadonlyMap<string, string>): ReadonlyMap<string, Script> {
  const all = new Map(texts)
  for (const [file, line] of SHORT_LIVES) {
    const text = all.get(file) ?? readFileSync(`${SCRIPTS}/${file}`, 'utf8')
    if (!text.includes(line)) throw new Error(`${file} has no line "${line}"`)
    all.set(file, text.replace(line, line.replace('60000', '3600000')))
  }
  return loadScripts(SCRIPTS, { clock: 'argument', texts: all })
}

export async function startHistories(): Promise<Histories> {
  const server = await startRedis()
  const redis = new Redis(server.url, { enableAutoPipelining: true })
  // Beside the histories: their connection waits for the script that may be endless.
  const watcher = new Redis(server.url)
  let scripts = scriptsForModel()
  let accounts = 0
  let isOver = false
  let isRunning = false
  const makeWallet = (testClock: () => number) =>
    createWallet(
      limited(redis, () => isOver),
      { testClock, scripts },
    )
  const play = (steps: readonly Step[]) => playSteps(steps, `case-${++accounts}`, makeWallet)
  const histories: Histories = {
    play,
    run: (firstSeed, count, options) =>
      histories.runSeeds(
        Array.from({ length: count }, (_, i) => firstSeed + i),
        options,
      ),
    async runSeeds(seeds, options) {
      if (isRunning) throw new Error('one run at a time: the next would take its scripts and empty its server')
      isRunning = true
      const left = seeds.values()
      let failure: Failure | undefined
      isOver = false
      const lane = async (): Promise<void> => {
        for (const seed of left) {
          if (failure !== undefined) return
          const found = await runHistory(seed, `seed-${seed}-${++accounts}`, makeWallet, STEPS, options)
          if (found !== undefined) failure ??= { seed, ...found }
          isOver ||= found !== undefined
        }
      }
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, seeds.length) }, lane))
      isOver = false
      await redis.flushdb()
      isRunning = false
      return failure
    },
    async shrink({ seed, ...found }) {
      return { seed, ...(await shrink(found, play)) }
    },
    isBusy: () =>
      watcher.ping().then(
        () => false,
        (error: Error) => error.message.startsWith('BUSY'),
      ),
    use(others) {
      scripts = others
    },
    async stop(how) {
      redis.disconnect()
      watcher.disconnect()
      await server.stop(how)
    },
  }
  return histories
}

/** The client of one history, which ends where another has failed or where this one asks again and again. */
function limited(client: ScriptClient, isOver: () => boolean): ScriptClient {
  let left = CALLS_MAX
  const run = async (act: () => Promise<unknown>): Promise<unknown> => {
    if (isOver()) throw new Error('another history has failed')
    if (left-- === 0) throw new Error(`more than ${CALLS_MAX} calls in one history`)
    return await act()
  }
  return {
    evalsha: (...args) => run(() => client.evalsha(...args)),
    eval: (...args) => run(() => client.eval(...args)),
  }
}
