/** Child processes of the benchmark: pinned to a core, told apart by what they answer, their CPU time read. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** Core of what is measured, core of what measures it. */
export const MEASURED_CORE = 0
export const MEASURING_CORE = 1

export function onPath(program: string, ...probe: string[]): boolean {
  try {
    execFileSync(program, probe, { stdio: 'ignore' })
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

/** Whether processes can be kept on a core of their own: Linux, and two cores. */
export const pinning: boolean = availableParallelism() >= 2 && onPath('taskset', '--version')

export function pinned(core: number, command: string, args: readonly string[]): [string, string[]] {
  return pinning ? ['taskset', ['-c', String(core), command, ...args]] : [command, [...args]]
}

export interface Peer {
  readonly pid: number
  /** Waits for the next message of the child. Rejects where it ends instead. */
  next(): Promise<unknown>
  ask(message: object): Promise<unknown>
  stop(): Promise<void>
}

/** Starts a program of ours in a process of its own; it speaks over IPC and ends when the channel closes. */
export function startPeer(
  core: number,
  file: string,
  args: readonly string[] = [],
  nodeArgs: readonly string[] = [],
): Peer {
  const path = new URL(file, import.meta.url).pathname
  const [command, all] = pinned(core, process.execPath, [...nodeArgs, path, ...args])
  const child = spawn(command, all, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const gone = once(child, 'exit')
  const next = async (): Promise<unknown> => {
    const [message] = await Promise.race([
      once(child, 'message'),
      gone.then(() => Promise.reject(new Error(`${file} ended`))),
    ])
    return message
  }
  return {
    pid: child.pid as number,
    next,
    ask(message) {
      const answer = next()
      child.send(message)
      return answer
    },
    async stop() {
      if (child.connected) child.disconnect()
      await endWithin(child, gone, 10_000)
    },
  }
}

export async function endWithin(child: ChildProcess, gone: Promise<unknown>, withinMs: number): Promise<void> {
  const timer = setTimeout(() => child.kill('SIGKILL'), withinMs)
  await gone
  clearTimeout(timer)
}

/**
 * CPU time that a process has used so far, all its threads, in milliseconds; NaN where the kernel does not say. By
 * thread and to the nanosecond: /proc/PID/stat counts in hundredths of a second.
 */
export function cpuMs(pid: number): number {
  try {
    let nanoseconds = 0
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
    }
    return nanoseconds / 1e6
  } catch {
    return Number.NaN
  }
}
