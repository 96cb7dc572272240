/**
 * `npm test`: brings the programs that the tests need where it may, says what is missing where it may not, and runs
 * vitest with the arguments given.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { findRedisBinary } from '../src/redis/find-redis-binary.ts'
import { installPackage, mayInstall } from './support/install-package.ts'

const VITEST = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
const underCi = process.env['CI'] === 'true' || process.env['CI'] === '1'

interface Requirement {
  readonly name: string
  /** Debian's and Ubuntu's package. */
  readonly package: string
  /** On other machines. */
  readonly remedy: string
  /** Brought without being asked everywhere, or under CI alone. */
  readonly installs: boolean
  isHere(): Promise<boolean>
}

const REQUIREMENTS: readonly Requirement[] = [
  {
    name: 'redis',
    package: 'redis-server',
    remedy: 'sudo apt-get install redis-server   (macOS: brew install redis)',
    installs: true,
    isHere: async () => (await findRedisBinary(process.env['PATH'] ?? '')).binary !== undefined,
  },
  {
    name: 'prometheus',
    package: 'prometheus',
    remedy: 'sudo apt-get install prometheus   (macOS: brew install prometheus)',
    installs: underCi,
    isHere: async () => spawnSync('promtool', ['--version']).status === 0,
  },
]

/** Names of what is missing after every attempt. */
async function bringRequirements(): Promise<string[]> {
  const missing: string[] = []
  for (const requirement of REQUIREMENTS) {
    if (await requirement.isHere()) continue
    if (requirement.installs && mayInstall()) {
      await installPackage(requirement.package)
      if (await requirement.isHere()) continue
    }
    missing.push(requirement.name)
    const effect = underCi ? 'tests fail without it' : 'its tests are skipped'
    console.error(`npm test: ${requirement.package} is missing, ${effect}. To install it: ${requirement.remedy}`)
  }
  return missing
}

/** Runs vitest to its end; its exit code is ours. */
function runVitest(missing: readonly string[]): void {
  const env = { ...process.env, TOLLGATE_TESTS_WITHOUT: missing.join(',') }
  const child = spawn(process.execPath, [VITEST, 'run', ...process.argv.slice(2)], { stdio: 'inherit', env })
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  // Ctrl-C reaches vitest from the terminal; waiting for its end keeps its last lines in view.
  process.on('SIGINT', () => {})
  child.once('exit', (code) => {
    process.exitCode = code ?? 1
  })
}

const missing = await bringRequirements()
if (underCi && missing.length > 0) {
  console.log(`0 passed, ${missing.length} failed, 0 skipped`)
  process.exit(1)
}
if (!existsSync(VITEST)) throw new Error('vitest is not installed: run npm ci')
runVitest(missing)
