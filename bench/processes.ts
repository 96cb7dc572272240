/** Child processes of the benchmark: pinned to a core, told apart by what they answer, their CPU time read. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

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

/** Starts a program of ours (a path from here, or from the root) in a process of its own; it speaks over IPC and ends when the channel closes. */
export function startPeer(
  core: number,
  file: string,
  args: readonly string[] = [],
  nodeArgs: readonly string[] = [],
): Peer {
  const path = new URL(file, import.meta.url).pathname
  const [command, all] = pinned(core, process.execPath, [...nodeArgs, path, ...args])
  const child = spawn(command, all, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' })
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

export interface CpuTimes {
  /** CPU time used so far, all threads, in milliseconds. */
  readonly usedMs: number
  /** Time so far in which it could have run and another process had the core, in milliseconds. */
  readonly waitedMs: number
}

/** Of a process; NaN where the kernel does not say. From schedstat: /proc/PID/stat counts in hundredths of a second. */
export function cpuTimes(pid: number): CpuTimes {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`).map((task) => readSchedstat(`/proc/${pid}/task/${task}/schedstat`))
    return {
      usedMs: tasks.reduce((sum, times) => sum + times.usedMs, 0),
      // Threads of one process wait for each other too: only the first one's wait shows that others were in the way.
      waitedMs: tasks[0]?.waitedMs ?? Number.NaN,
    }
  } catch {
    return { usedMs: Number.NaN, waitedMs: Number.NaN }
  }
}

export function cpuMs(pid: number): number {
  return cpuTimes(pid).usedMs
}

function readSchedstat(file: string): CpuTimes {
  const [used, waited] = readFileSync(file, 'utf8').split(' ')
  return { usedMs: Number(used) / 1e6, waitedMs: Number(waited) / 1e6 }
}

/** Waits until other processes leave the machine alone, at most so long: figures taken beside them say little. */
export async function untilQuiet(patienceMs: number): Promise<void> {
  const endMs = performance.now() + patienceMs
  while (performance.now() < endMs) {
    const before = machineTicks()
    await sleep(500)
    const after = machineTicks()
    if ((after.busy - before.busy) / (after.all - before.all) < QUIET_SHARE) return
  }
}

const QUIET_SHARE = 0.1

function machineTicks(): { readonly busy: number; readonly all: number } {
  const times = cpus().map(({ times }) => times)
  const sum = (pick: (of: (typeof times)[number]) => number) => times.reduce((total, of) => total + pick(of), 0)
  const busy = sum((of) => of.user + of.nice + of.sys + of.irq)
  return { busy, all: busy + sum((of) => of.idle) }
}
