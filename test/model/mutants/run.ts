/**
 * All mutants of the scripts, or of those named:
 *
 *   node src/bootstrap.js test/model/mutants/run.ts [--histories 64] [--out FILE] [lib/posting.lua …]
 *
 * Prints those that no history finds and which survivors.md has no reason for. The same command goes on where it was
 * stopped: FILE has a line for each mutant that was tried.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { mutantsOfFile, scriptFiles, startKiller } from './kill-mutants.ts'
import { nameOf } from './lua-mutants.ts'
import { readSurvivors } from './survivors.ts'

interface Tried {
  readonly name: string
  readonly by: number | 'endless' | 'loader' | null
  readonly histories: number
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    histories: { type: 'string', default: '64' },
    out: { type: 'string', default: join(tmpdir(), 'tollgate-mutants.jsonl') },
  },
})
const histories = Number(values.histories)
const tried = new Map<string, Tried>()
for (const line of existsSync(values.out) ? readFileSync(values.out, 'utf8').trim().split('\n') : []) {
  const one = JSON.parse(line) as Tried
  tried.set(one.name, one)
}
const known = readSurvivors()
const killer = await startKiller()
const total = { mutants: 0, killed: 0, reasons: 0 }

for (const file of positionals.length > 0 ? positionals : scriptFiles()) {
  const count = { mutants: 0, killed: 0, reasons: 0 }
  for (const mutant of mutantsOfFile(file)) {
    const name = nameOf(mutant)
    let result = tried.get(name)
    if (!known.has(name) && (!result || (result.by === null && result.histories < histories))) {
      result = { name, by: (await killer.kill(mutant, histories)) ?? null, histories }
      appendFileSync(values.out, `${JSON.stringify(result)}\n`)
    }
    count.mutants++
    if (known.has(name)) count.reasons++
    else if (result && result.by !== null) count.killed++
    else console.log(`  survives: ${file}:${mutant.lineNumber}: ${mutant.line} => ${mutant.change}`)
  }
  console.log(`${file}: ${count.mutants} mutants, ${count.killed} killed, ${count.reasons} with a reason`)
  total.mutants += count.mutants
  total.killed += count.killed
  total.reasons += count.reasons
}
await killer.stop()
const left = total.mutants - total.killed - total.reasons
console.log(`${total.mutants} mutants, ${total.killed} killed, ${total.reasons} with a written reason, ${left} left`)
process.exitCode = left > 0 ? 1 : 0
