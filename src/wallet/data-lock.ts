/**
 * One gateway for each data_dir: two would read each other's outbox as that of the dead. The lock is a file with the
 * owner's process id, the time that process started and the host's name; a lock whose owner is gone is taken over.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export class DataDirLocked extends Error {
  override readonly name = 'DataDirLocked'
}

interface Owner {
  readonly pid: number
  readonly host: string
  /** Start time of the process in kernel ticks; "" where the system does not tell. */
  readonly started: string
}

const BEAT_MS = 5_000
// Another host's process cannot be looked up (a container that was made anew has a new name): its heartbeat decides.
const BEATS_MISSED_MS = 16_000

/** Field 22 of /proc/PID/stat. A process id is soon used again, in a container at once; the two together are not. */
function processStarted(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

// Our own process id in a lock that we do not hold was a dead process's.
const held = new Set<string>()

function isAlive(owner: Owner, path: string): boolean {
  if (owner.pid === process.pid) return held.has(path)
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const started = processStarted(owner.pid)
  return owner.started === '' || started === '' || started === owner.started
}

function readLock(
  path: string,
): { readonly text: string; readonly owner: Owner | undefined; readonly ageMs: number } | undefined {
  try {
    const text = readFileSync(path, 'utf8')
    const ageMs = Date.now() - statSync(path).mtimeMs
    try {
      return { text, owner: JSON.parse(text), ageMs }
    } catch {
      return { text, owner: undefined, ageMs }
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Creates the lock with its content in one step, or answers false where there is one. */
function place(path: string, text: string): boolean {
  const temporary = `${path}.${process.pid}`
  writeFileSync(temporary, text)
  try {
    linkSync(temporary, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** Takes a dead owner's lock away. Of two that try, the one that finds another content puts it back. */
function removeStale(path: string, text: string): void {
  const aside = `${path}.stale.${process.pid}`
  try {
    renameSync(path, aside)
    if (readFileSync(aside, 'utf8') !== text) linkSync(aside, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

/**
 * Locks data_dir for this process; the answer unlocks it. Throws DataDirLocked where a living process has it. Waits up
 * to 16 s for the heartbeat of another host's process to stop, as after a container was killed and made anew.
 */
export async function lockDataDir(dataDir: string, host: string = hostname()): Promise<() => void> {
  mkdirSync(dataDir, { recursive: true })
  const path = resolve(dataDir, 'gateway.lock')
  const own = JSON.stringify({ pid: process.pid, host, started: processStarted(process.pid) } satisfies Owner)
  const giveUpMs = Date.now() + BEATS_MISSED_MS + 2_000
  while (!place(path, own)) {
    const lock = readLock(path)
    if (lock === undefined) continue
    const here = lock.owner?.host === host
    const stale = here && lock.owner ? !isAlive(lock.owner, path) : lock.ageMs > BEATS_MISSED_MS
    if (stale) removeStale(path, lock.text)
    else if (here || Date.now() > giveUpMs) {
      const who = lock.owner ? `process ${lock.owner.pid} on ${lock.owner.host}` : 'another gateway'
      throw new DataDirLocked(`${dataDir} is in use by ${who}: stop it, or give this gateway a data_dir of its own`)
    } else await sleep(500)
  }
  return holdLock(path, own)
}

function holdLock(path: string, own: string): () => void {
  held.add(path)
  const beat = setInterval(() => {
    try {
      const now = new Date()
      utimesSync(path, now, now)
    } catch {
      // A full or read-only disk shows in the outbox; the lock is not the place to fail for it.
    }
  }, BEAT_MS)
  beat.unref()
  const release = () => {
    clearInterval(beat)
    process.off('exit', release)
    held.delete(path)
    if (readLock(path)?.text === own) rmSync(path, { force: true })
  }
  process.once('exit', release)
  return release
}
