/**
 * All mutants of the scripts, or of those named:
 *
 *   node src/bootstrap.js test/model/mutants/run.ts [--histories 64] [--out FILE] [--tests] [lib/posting.lua …]
 *
 * Prints those that nothing finds and which survivors.md has no reason for. Scripts that no history calls, of accounts,
 * keys, repairs and trims, are for their tests to find, some seconds for each mutant. The same command goes on where it was stopped: FILE has a
 * line for each mutant that was tried. --tests: proves of those of which survivors.md says that named tests find them that
 * these do, as many seconds for each.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startTestKiller, type TestKiller } from './kill-by-tests.ts'
import { mutantsOfFile, scriptFiles, startKiller, testsOfFile } from './kill-mutants.ts'
import { type Mutant, nameOf } from './lua-mutants.ts'
import { readSurvivors } from './survivors.ts'

interface Tried {
  readonly name: string
  readonly by: number | 'endless' | 'loader' | 'tests' | null
  readonly histories: number
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    histories: { type: 'string', default: '64' },
    out: { type: 'string', default: join(tmpdir(), 'tollgate-mutants.jsonl') },
    tests: { type: 'boolean', default: false },
  },
})
const histories = Number(values.histories)
const tried = new Map<string, Tried>()
for (const line of existsSync(values.out) ? readFileSync(values.out, 'utf8').trim().split('\n') : []) {
  const one = JSON.parse(line) as Tried
  tried.set(one.name, one)
}
const known = readSurvivors()
// The server of the histories ends with this process, and so does the copy that tests are run on.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.once('exit', () => testKiller?.stop())
const killer = await startKiller()
let testKiller: TestKiller | undefined
const total = { mutants: 0, killed: 0, byTests: 0, reasons: 0 }

for (const file of positionals.length > 0 ? positionals : scriptFiles()) {
  const count = { mutants: 0, killed: 0, byTests: 0, reasons: 0 }
  for (const mutant of mutantsOfFile(file)) {
    const name = nameOf(mutant)
    let result = tried.get(name)
    if (!known.has(name) && isToBeTried(file, result)) {
      result = { name, by: await finderOf(mutant), histories }
      appendFileSync(values.out, `${JSON.stringify(result)}\n`)
    }
    count.mutants++
    const { foundBy } = known.get(name) ?? { foundBy: [] }
    if (foundBy.length > 0 && values.tests && !(await isFoundByTests(mutant, foundBy))) {
      console.log(
        `  is not found by ${foundBy.join(', ')}: ${file}:${mutant.lineNumber}: ${mutant.line} => ${mutant.change}`,
      )
    } else if (foundBy.length > 0) count.byTests++
    else if (known.has(name)) count.reasons++
    else if (result?.by === 'tests') count.byTests++
    else if (result && result.by !== null) count.killed++
    else console.log(`  survives: ${file}:${mutant.lineNumber}: ${mutant.line} => ${mutant.change}`)
  }
  console.log(`${file}: ${described(count)}`)
  total.mutants += count.mutants
  total.killed += count.killed
  total.byTests += count.byTests
  total.reasons += count.reasons
}
await killer.stop()
console.log(described(total))
process.exitCode = leftOf(total) > 0 ? 1 : 0

/** One that was not found is tried again with more histories; with tests always, which may have become more. */
function isToBeTried(file: string, before: Tried | undefined): boolean {
  if (!before) return true
  return before.by === null && (testsOfFile(file).length > 0 || before.histories < histories)
}

async function finderOf(mutant: Mutant): Promise<Tried['by']> {
  const files = testsOfFile(mutant.file)
  if (files.length > 0) return (await isFoundByTests(mutant, files)) ? 'tests' : null
  return (await killer.kill(mutant, histories)) ?? null
}

function isFoundByTests(mutant: Mutant, files: readonly string[]): Promise<boolean> {
  testKiller ??= startTestKiller()
  return testKiller.kill(mutant, files)
}

function leftOf({ mutants, killed, byTests, reasons }: typeof total): number {
  return mutants - killed - byTests - reasons
}

function described(count: typeof total): string {
  const { mutants, killed, byTests, reasons } = count
  return `${mutants} mutants, ${killed} found by histories, ${byTests} by named tests, ${reasons} with a reason, ${leftOf(count)} left`
}
