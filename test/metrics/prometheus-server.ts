import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../support/free-port.ts'
import { CONFIG } from './watched-expressions.ts'

export interface PrometheusServer {
  /** Series of an instant query at this moment. Throws what Prometheus says of an expression that it refuses. */
  query(
    expression: string,
  ): Promise<
    readonly { readonly metric: Readonly<Record<string, string>>; readonly value: readonly [number, string] }[]
  >
  /** What `/api/v1/rules` says of each rule. */
  rules(): Promise<readonly { readonly name: string; readonly health: string; readonly lastError?: string }[]>
  stop(): Promise<void>
}

/** A real Prometheus with our rules, that scrapes `target` ("127.0.0.1:1234") and evaluates each second. */
export async function startPrometheus(target: string): Promise<PrometheusServer> {
  const directory = mkdtempSync(join(tmpdir(), 'tollgate-prometheus-'))
  for (const file of ['recording.yaml', 'alerts.yaml'])
    copyFileSync(`${CONFIG}prometheus/${file}`, join(directory, file))
  writeFileSync(join(directory, 'prometheus.yaml'), configFor(target))
  const port = await freePort()
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(directory, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const log = keepLog(child)
  const base = `http://127.0.0.1:${port}`
  try {
    await waitFor(
      async () => (await fetch(`${base}/-/ready`)).ok,
      () => `Prometheus did not start:\n${log()}`,
    )
  } catch (error) {
    await end(child)
    throw error
  }
  return {
    query: async (expression) =>
      (await ask<{ result: never[] }>(base, `query?query=${encodeURIComponent(expression)}`)).result,
    rules: async () =>
      (await ask<{ groups: { rules: never[] }[] }>(base, 'rules')).groups.flatMap((group) => group.rules),
    async stop() {
      await end(child)
      rmSync(directory, { recursive: true })
    },
  }
}

/** Asks each 100 ms; failures of the question count as no. */
export async function waitFor(
  question: () => Promise<boolean>,
  message: () => string,
  withinMs = 60_000,
): Promise<void> {
  const untilMs = Date.now() + withinMs
  while (!(await question().catch(() => false))) {
    if (Date.now() > untilMs) throw new Error(message())
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function configFor(target: string): string {
  return `
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [recording.yaml, alerts.yaml]
scrape_configs: [{ job_name: tollgate, static_configs: [{ targets: ["${target}"] }] }]
`
}

async function ask<T>(base: string, path: string): Promise<T> {
  const answer = (await (await fetch(`${base}/api/v1/${path}`)).json()) as { status: string; error?: string; data: T }
  if (answer.status !== 'success') throw new Error(answer.error)
  return answer.data
}

function keepLog(child: ChildProcess): () => string {
  let text = ''
  child.on('error', (error) => {
    text += error.message
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-4000)
  })
  return () => text
}

function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return Promise.resolve()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}
