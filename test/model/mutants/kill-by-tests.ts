/** Named tests of the scripts, run on a copy of the program whose script is a mutant: they look where no history comes. */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Mutant } from './lua-mutants.ts'

const ROOT = new URL('../../..', import.meta.url).pathname
const COPIED = ['src', 'test', 'redis-scripts', 'config']

export interface TestKiller {
  /** Whether one of the test files fails. Throws Error where they fail without the mutant too. */
  kill(mutant: Mutant, files: readonly string[]): Promise<boolean>
  stop(): void
}

export function startTestKiller(): TestKiller {
  const directory = mkdtempSync(join(tmpdir(), 'tollgate-mutant-'))
  for (const name of COPIED) cpSync(join(ROOT, name), join(directory, name), { recursive: true })
  for (const name of ['package.json', 'tsconfig.json', 'vitest.config.ts'])
    cpSync(join(ROOT, name), join(directory, name))
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  const passing = new Set<string>()
  return {
    async kill({ file, text }, files) {
      for (const name of files.filter((each) => !passing.has(each))) {
        if (!(await pass(directory, [name]))) throw new Error(`${name} fails without a mutant`)
        passing.add(name)
      }
      const path = join(directory, 'redis-scripts', file)
      writeFileSync(path, text)
      try {
        return !(await pass(directory, files))
      } finally {
        cpSync(join(ROOT, 'redis-scripts', file), path)
      }
    },
    stop: () => rmSync(directory, { recursive: true, force: true }),
  }
}

function pass(directory: string, files: readonly string[]): Promise<boolean> {
  const vitest = join(directory, 'node_modules', 'vitest', 'vitest.mjs')
  const args = [vitest, 'run', '--bail', '1', '--maxWorkers', '1', '--root', directory, ...files]
  // A run within a run: what the outer one says of itself is not for this one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')))
  const child = spawn(process.execPath, args, { cwd: directory, env: { ...env, CI: 'true' }, stdio: 'ignore' })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code === 0))
  })
}
