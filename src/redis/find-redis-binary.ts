import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

export interface RedisBinary {
  readonly path: string
  readonly kind: 'redis-server' | 'valkey-server'
  readonly version: string
}

const run = promisify(execFile)
const NAMES = ['redis-server', 'valkey-server']

/**
 * The first `redis-server` (7.0 or later) or `valkey-server` (7.2 or later) of a search path; `rejected` says why one
 * that is there was passed over.
 */
export async function findRedisBinary(
  searchPath: string,
): Promise<{ readonly binary: RedisBinary | undefined; readonly rejected: string | undefined }> {
  let rejected: string | undefined
  for (const name of NAMES) {
    for (const directory of searchPath.split(delimiter)) {
      if (directory === '') continue
      const found = await inspect(join(directory, name))
      if (typeof found === 'object') return { binary: found, rejected: undefined }
      rejected ??= found
    }
  }
  return { binary: undefined, rejected }
}

/** The binary, or why it will not do; undefined where there is none. */
async function inspect(path: string): Promise<RedisBinary | string | undefined> {
  try {
    await access(path, constants.X_OK)
  } catch {
    return undefined
  }
  try {
    const { stdout } = await run(path, ['--version'], { timeout: 5_000 })
    return readVersion(path, stdout) ?? `${path}: ${stdout.trim()}`
  } catch (error) {
    return `${path} --version failed: ${error instanceof Error ? error.message : String(error)}`
  }
}

/**
 * `Redis server v=7.0.15 sha=…` or `Valkey server v=8.1.1 …`. What it says counts, not its name: distributions put
 * Valkey under `redis-server`. Exported for its table test.
 */
export function readVersion(path: string, text: string): RedisBinary | undefined {
  const match = /^(Redis|Valkey) server v=(\d+)\.(\d+)(\.\d+)?/.exec(text)
  if (match === null) return undefined
  const [, product, major, minor, patch = ''] = match
  const least = product === 'Valkey' ? [7, 2] : [7, 0]
  const found = [Number(major), Number(minor)]
  const old =
    (found[0] as number) < (least[0] as number) ||
    (found[0] === least[0] && (found[1] as number) < (least[1] as number))
  if (old) return undefined
  return { path, kind: product === 'Valkey' ? 'valkey-server' : 'redis-server', version: `${major}.${minor}${patch}` }
}
