import { spawn } from 'node:child_process'
import { accessSync, existsSync, rmSync, writeFileSync } from 'node:fs'

const APT = '/usr/bin/apt-get'
const POLICY = '/usr/sbin/policy-rc.d'

/** Root on Debian or Ubuntu, where a package can be added without a question. */
export function mayInstall(): boolean {
  try {
    accessSync(APT)
    return process.getuid?.() === 0
  } catch {
    return false
  }
}

/** Installs a Debian package, refreshing the lists only if that fails. Its service is not started. */
export async function installPackage(name: string): Promise<void> {
  console.error(`npm test: installing ${name} with apt-get`)
  const release = forbidServices()
  try {
    if ((await apt('install', '-y', '--no-install-recommends', name)) === 0) return
    await apt('update')
    await apt('install', '-y', '--no-install-recommends', name)
  } finally {
    release()
  }
}

/** Debian's own way to say that packages must not start what they bring: 101 is "forbidden". */
function forbidServices(): () => void {
  if (existsSync(POLICY)) return () => {}
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  return () => rmSync(POLICY, { force: true })
}

/** Exit code; what it prints goes to standard error. */
function apt(...args: readonly string[]): Promise<number> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  return new Promise((resolve) => {
    const child = spawn(APT, ['-qq', '-o', 'DPkg::Lock::Timeout=120', ...args], { stdio: ['ignore', 2, 2], env })
    child.once('error', () => resolve(1))
    child.once('exit', (code) => resolve(code ?? 1))
  })
}
