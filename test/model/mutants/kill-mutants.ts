/** Mutants of the wallet's scripts, and which random history finds each. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadScript, type Script, ScriptError } from '../../../src/redis/script-loader.ts'
import { type Histories, SCRIPTS, scriptsForModel, startHistories } from '../run-histories.ts'
import { type Mutant, mutantsOf } from './lua-mutants.ts'

// From the same seeds each time: a mutant that was found is found again.
const FIRST_SEED = 1000
/** Most mutants fall to the first few, the rest is asked more and more. */
const ROUNDS = [16, 48, 192]
/** Histories that found the last mutants are asked first: the next one is most often beside those. */
const LAST_FINDERS = 4
/** How often the server is asked whether it is still at a script that comes to no end: Redis says so after five seconds. */
const BUSY_EACH_MS = 1000
/** A script that comes to no end, or that the loader refuses, is found as well. */
const ENDLESS_MS = 60_000

export interface Killer {
  /** What finds it: a seed, its having no end, or the loader; undefined: none of so many histories did. */
  kill(mutant: Mutant, histories: number): Promise<number | 'endless' | 'loader' | undefined>
  stop(): Promise<void>
}

/** What moves no money is in no history: the scripts, and the test files that find each mutant. */
const TESTED_ALONE: readonly (readonly [scripts: RegExp, tests: readonly string[]])[] = [
  [/^(account_|key_|lib\/accounts)/, ['test/scripts/accounts.test.ts']],
  [/^first_answer/, ['test/scripts/limits.test.ts']],
  [/^repair/, ['test/scripts/repair-changes.test.ts']],
  [/^trim/, ['test/scripts/script-edges.test.ts']],
]

export function scriptFiles(): readonly string[] {
  const lua = (directory: string) => readdirSync(directory).filter((name) => name.endsWith('.lua'))
  return [...lua(SCRIPTS), ...lua(join(SCRIPTS, 'lib')).map((name) => `lib/${name}`)].sort()
}

/** The test files of which one fails with any mutant of the script; none: histories find them. */
export function testsOfFile(file: string): readonly string[] {
  return TESTED_ALONE.find(([scripts]) => scripts.test(file))?.[1] ?? []
}

export function mutantsOfFile(file: string): readonly Mutant[] {
  return mutantsOf(file, readFileSync(join(SCRIPTS, file), 'utf8'))
}

export async function startKiller(): Promise<Killer> {
  const scripts = scriptsForModel()
  let histories: Histories = await startHistories()
  let finders: readonly number[] = []
  const find = async (seeds: readonly number[]): Promise<number | 'endless' | undefined> => {
    if (seeds.length === 0) return undefined
    const found = await within(histories, histories.runSeeds(seeds, { anywhere: true }))
    if (found === 'endless') {
      await histories.stop('kill')
      histories = await startHistories()
      return found
    }
    if (found) finders = [found.seed, ...finders.filter((seed) => seed !== found.seed)].slice(0, LAST_FINDERS)
    return found?.seed
  }
  return {
    async kill(mutant, most) {
      const mutated = withMutant(scripts, mutant)
      if (!mutated) return 'loader'
      histories.use(mutated)
      const asked = finders.filter((seed) => seed < FIRST_SEED + most)
      const found = await find(asked)
      if (found !== undefined) return found
      let next = FIRST_SEED
      for (const count of ROUNDS) {
        const round = Array.from({ length: Math.min(count, FIRST_SEED + most - next) }, (_, i) => next + i)
        const foundNow = await find(round.filter((seed) => !asked.includes(seed)))
        if (foundNow !== undefined) return foundNow
        next += round.length
      }
      return undefined
    },
    stop: () => histories.stop(),
  }
}

async function within<T>(histories: Histories, run: Promise<T>): Promise<T | 'endless'> {
  let timer: NodeJS.Timeout | undefined
  let ticker: NodeJS.Timeout | undefined
  const late = new Promise<'endless'>((resolve) => {
    timer = setTimeout(() => resolve('endless'), ENDLESS_MS)
    ticker = setInterval(async () => {
      if (await histories.isBusy()) resolve('endless')
    }, BUSY_EACH_MS)
  })
  try {
    return await Promise.race([run, late])
  } finally {
    clearTimeout(timer)
    clearInterval(ticker)
    run.catch(() => {})
  }
}

/**
 * The scripts with the mutant's text in each that includes it, put together when they are first called: most mutants are
 * found before all were. A script of its own that the loader refuses, for an argument that is never used: undefined.
 */
function withMutant(
  scripts: ReadonlyMap<string, Script>,
  { file, text }: Mutant,
): ReadonlyMap<string, Script> | undefined {
  const texts = new Map([[file, text]])
  const mutated = new Map<string, Script>()
  const load = (name: string): Script | undefined => {
    const known = mutated.get(name) ?? scripts.get(name)
    if (known === undefined || mutated.has(name) || !includes(`${name}.lua`, file)) return known
    const script = loadScript(SCRIPTS, `${name}.lua`, { clock: 'argument', texts })
    mutated.set(name, script)
    return script
  }
  try {
    load(file.replace(/\.lua$/, ''))
  } catch (error) {
    if (error instanceof ScriptError) return undefined
    throw error
  }
  return { ...scripts, get: load } as ReadonlyMap<string, Script>
}

const included = new Map<string, ReadonlySet<string>>()

function includes(script: string, file: string): boolean {
  let files = included.get(script)
  if (!files) {
    files = new Set(filesOf(script))
    included.set(script, files)
  }
  return files.has(file)
}

function filesOf(file: string): readonly string[] {
  const text = readFileSync(join(SCRIPTS, file), 'utf8')
  return [file, ...[...text.matchAll(/^--! include (\S+)$/gm)].flatMap(([, name = '']) => filesOf(name))]
}
