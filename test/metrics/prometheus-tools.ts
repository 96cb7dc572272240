import { spawnSync } from 'node:child_process'

/**
 * Whether a tool is not installed; says so once, with what brings it. Under CI it is never skipped: its tests then fail.
 */
export function missing(tool: 'promtool' | 'prometheus'): boolean {
  if (process.env['CI'] === 'true' || spawnSync(tool, ['--version']).status === 0) return false
  console.warn(`skipped: ${tool} is not installed (Debian and Ubuntu: apt-get install prometheus)`)
  return true
}
