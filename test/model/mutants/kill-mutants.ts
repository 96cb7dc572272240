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
/** A script that comes to no end, or that the loader refuses, is found as well. */
const ENDLESS_MS = 60_000

export interface Killer {
  /** What finds it: a seed, its having no end, or the loader; undefined: none of so many histories did. */
  kill(mutant: Mutant, histories: number): Promise<number | 'endless' | 'loader' | undefined>
  stop(): Promise<void>
}

/** Accounts and keys have no money and are not in the model. */
const NOT_MODELLED = /^(account_|key_|first_answer|refusals|lib\/accounts)/

export function scriptFiles(): readonly string[] {
  const lua = (directory: string) => readdirSync(directory).filter((name) => name.endsWith('.lua'))
  return [...lua(SCRIPTS), ...lua(join(SCRIPTS, 'lib')).map((name) => `lib/${name}`)]
    .filter((file) => !NOT_MODELLED.test(file))
    .sort()
}

export function mutantsOfFile(file: string): readonly Mutant[] {
  return mutantsOf(file, readFileSync(join(SCRIPTS, file), 'utf8'))
}

export async function startKiller(): Promise<Killer> {
  const scripts = scriptsForModel()
  let histories: Histories = await startHistories()
  return {
    async kill(mutant, most) {
      const mutated = withMutant(scripts, mutant)
      if (!mutated) return 'loader'
      histories.use(mutated)
      let done = 0
      for (const count of ROUNDS) {
        if (done >= most) return undefined
        const found = await within(histories.run(FIRST_SEED + done, Math.min(count, most - done), { anywhere: true }))
        if (found === 'endless') {
          await histories.stop('kill')
          histories = await startHistories()
          return found
        }
        if (found) return found.seed
        done += count
      }
      return undefined
    },
    stop: () => histories.stop(),
  }
}

async function within<T>(run: Promise<T>): Promise<T | 'endless'> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'endless'>((resolve) => {
    timer = setTimeout(() => resolve('endless'), ENDLESS_MS)
  })
  try {
    return await Promise.race([run, late])
  } finally {
    clearTimeout(timer)
    run.catch(() => {})
  }
}

/** The scripts with the mutant's text in each that includes it. */
function withMutant(
  scripts: ReadonlyMap<string, Script>,
  { file, text }: Mutant,
): ReadonlyMap<string, Script> | undefined {
  const mutated = new Map(scripts)
  const texts = new Map([[file, text]])
  for (const name of scripts.keys()) {
    if (!includes(`${name}.lua`, file)) continue
    try {
      mutated.set(name, loadScript(SCRIPTS, `${name}.lua`, { clock: 'argument', texts }))
    } catch (error) {
      // An argument that is never used.
      if (error instanceof ScriptError) return undefined
      throw error
    }
  }
  return mutated
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
