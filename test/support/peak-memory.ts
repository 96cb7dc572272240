/** How far a process's resident memory rose while something went on, at its highest moment. Linux alone tells. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

export const canMeasurePeak = existsSync('/proc/self/clear_refs')

/** In bytes, above what it was before `work`. */
export async function peakGrowth(pid: number, work: () => Promise<void>): Promise<number> {
  // 5: forget the highest mark (proc(5)).
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
  const before = field(pid, 'VmRSS')
  await work()
  return field(pid, 'VmHWM') - before
}

function field(pid: number, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(found?.[1]) * 1024
}
