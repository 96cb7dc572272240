/** Throughput with every connection busy: by wrk where it is installed, else by our own load generator. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { LoadJob, LoadResult } from './load-types.ts'
import { MEASURING_CORE, onPath, type Peer, pinned } from './processes.ts'
import { type HttpPost, wireRequest } from './traffic.ts'

export const CONNECTIONS = 32

export const saturator: 'wrk' | 'own' = onPath('wrk', '--version') ? 'wrk' : 'own'

export interface Saturated {
  readonly calls: number
  readonly seconds: number
  readonly failed: number
}

export async function saturate(
  load: Peer,
  dir: string,
  port: number,
  post: HttpPost,
  seconds: number,
): Promise<Saturated> {
  if (saturator === 'wrk') return await byWrk(dir, port, post, seconds)
  const job: LoadJob = {
    port,
    request: wireRequest(post, port).toString(),
    connections: CONNECTIONS,
    ratePerSecond: undefined,
    warmSeconds: 0,
    seconds,
    stamped: false,
  }
  return (await load.ask(job)) as LoadResult
}

async function byWrk(dir: string, port: number, post: HttpPost, seconds: number): Promise<Saturated> {
  const script = join(dir, 'wrk.lua')
  const headers = post.headers.map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`)
  writeFileSync(script, `wrk.method = "POST"\nwrk.body = [==[${post.body}]==]\n${headers.join('\n')}\n`)
  const [command, args] = pinned(MEASURING_CORE, 'wrk', [
    '-t1',
    `-c${CONNECTIONS}`,
    `-d${seconds}s`,
    '--timeout',
    '10s',
    '-s',
    script,
    `http://127.0.0.1:${port}${post.path}`,
  ])
  const { stdout } = await promisify(execFile)(command, args)
  return readWrk(stdout)
}

function readWrk(text: string): Saturated {
  const [, calls = '0', amount = '1', unit = 's'] = /(\d+) requests in ([\d.]+)(ms|s|m)/.exec(text) ?? []
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? []
  const refused = /Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? '0'
  return {
    calls: Number(calls),
    seconds: Number(amount) * { ms: 0.001, s: 1, m: 60 }[unit as 'ms' | 's' | 'm'],
    failed: [...errors, refused].reduce((sum, count) => sum + Number(count), 0),
  }
}
