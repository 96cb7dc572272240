/** A gateway in a process of its own, so that it can be killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface GatewayProcess {
  readonly url: string
  readonly adminUrl: string
  readonly adminToken: string
  readonly child: ChildProcess
  /** What it printed on both streams so far. */
  output(): string
  kill(signal: NodeJS.Signals): Promise<number | null>
}

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

/** `tollgate serve` on a config file; resolves when it serves. Throws with its output where it ends before. */
export async function startGatewayProcess(
  configFile: string,
  env: Record<string, string> = {},
): Promise<GatewayProcess> {
  const child = spawn(process.execPath, [CLI, 'serve', '--config', configFile], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  const grow = (chunk: Buffer): void => {
    text += chunk.toString()
  }
  child.stdout.on('data', grow)
  child.stderr.on('data', grow)
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  const deadline = performance.now() + 90_000
  for (;;) {
    const url = /gateway\s+(http:\/\/\S+)/i.exec(text)?.[1]
    const adminUrl = /admin\s+(http:\/\/\S+)/i.exec(text)?.[1]
    const adminToken = /token\s+(\S+)/i.exec(text)?.[1]
    if (url && adminUrl && adminToken) {
      return {
        url,
        adminUrl,
        adminToken,
        child,
        output: () => text,
        async kill(signal) {
          child.kill(signal)
          return exited
        },
      }
    }
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`the gateway did not start:\n${text}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
