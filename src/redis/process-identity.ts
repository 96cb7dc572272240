import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Whether a process of this id exists (zombies and those of other users count). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Whether that process is a Redis or Valkey server: process ids are soon used again. */
export async function isRedisProcess(pid: number): Promise<boolean> {
  return /(redis|valkey)-server/.test(await commandLine(pid))
}

/** From /proc on Linux (`ps` is absent in slim images), from `ps` elsewhere; "" where neither tells. */
async function commandLine(pid: number): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return run('ps', ['-o', 'args=', '-p', String(pid)]).then(
      ({ stdout }) => stdout,
      () => '',
    )
  }
}
