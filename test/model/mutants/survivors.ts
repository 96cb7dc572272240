/** survivors.md: mutants that no history tells from the script, each with the reason. */
import { readFileSync } from 'node:fs'
import { nameOf } from './lua-mutants.ts'

export interface Survivor {
  readonly file: string
  readonly line: string
  readonly change: string
  readonly reason: string
  /** Test files of which one fails; none: nothing tells the mutant from the script. */
  readonly foundBy: readonly string[]
}

/** `Found by` and the files, in the words of a reason. */
function testsOf(reason: string): readonly string[] {
  const [, files = ''] = /^Found by ((?:`[^`]+`(?:, | and )?)+)/.exec(reason) ?? []
  return [...files.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file)
}

/** By the mutant's name. Throws where a line of the list has another form. */
export function readSurvivors(): ReadonlyMap<string, Survivor> {
  const text = readFileSync(new URL('survivors.md', import.meta.url), 'utf8')
  const survivors = new Map<string, Survivor>()
  let file = ''
  let reason = ''
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) [file, reason] = [line.slice(3), '']
    else if (line.startsWith('- ')) {
      const [, before, change] = /^- `(.+)` → `(.+)`$/.exec(line) ?? []
      if (before === undefined || change === undefined || file === '' || reason === '') {
        throw new Error(`survivors.md: not "- \`line\` → \`change\`" below a reason and a file: ${line}`)
      }
      const survivor = { file, line: before, change, reason, foundBy: testsOf(reason) }
      survivors.set(nameOf(survivor), survivor)
    } else if (line.trim() !== '') reason = line
  }
  return survivors
}
