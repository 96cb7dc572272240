/** The gateway as the benchmark runs it: one worker, one account, a plain plan, no slices. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MEASURED_CORE, type Peer, startPeer } from './processes.ts'
import { BENCH_ACCOUNT, BENCH_KEY } from './traffic.ts'

export const UNMETERED_PATH = '/v1/unmetered'
export const METERED_PATH = '/v1/chat/completions'

export interface BenchGateway {
  readonly port: number
  readonly pid: number
  readonly adminUrl: string
  readonly adminToken: string
  stop(): Promise<void>
}

export interface GatewayChoice {
  readonly dir: string
  readonly originPort: number
  readonly redisUrl: string
  readonly account?: string
  /** Another checkout of this project, whose gateway it is then. */
  readonly root?: string
  /** Further arguments of Node, such as ['--cpu-prof']. */
  readonly nodeArgs?: readonly string[]
}

function writeConfig({ dir, originPort, redisUrl }: GatewayChoice, account: string): string {
  mkdirSync(dir, { recursive: true })
  const file = join(dir, 'tollgate.yaml')
  writeFileSync(
    file,
    `version: 1
gateway: { host: 127.0.0.1, port: 0, workers: 1 }
admin: { host: 127.0.0.1, port: 0 }
redis: { url: "${redisUrl}" }
data_dir: data
prices: price-book.yaml
entitlements: entitlements.yaml
upstreams:
  openai: { format: openai, base_url: "http://127.0.0.1:${originPort}/v1", api_key: sk-origin, models: ["gpt-*"] }
metering: { unmetered_paths: ["POST ${UNMETERED_PATH}"] }
limits: { requests_per_socket: 1000000000, redis_command_timeout: 5s }
`,
  )
  writeFileSync(
    join(dir, 'entitlements.yaml'),
    `version: 1
plans: { bench: { unit: USD } }
accounts:
  ${account}:
    plan: bench
    keys: [ { id: bench, sha256: "${createHash('sha256').update(BENCH_KEY).digest('hex')}" } ]
`,
  )
  writeFileSync(
    join(dir, 'price-book.yaml'),
    `version: 1
unit: USD
entries:
  - match: { model: "gpt-bench*" }
    from: 2026-01-01
    per_million: { input: "0.25", cached_input: "0.025", output: "2.00" }
    context_window: 400000
    max_output_tokens: 128000
`,
  )
  return file
}

/** Starts it and grants its account enough for any number of calls. */
export async function startBenchGateway(choice: GatewayChoice): Promise<BenchGateway> {
  const account = choice.account ?? BENCH_ACCOUNT
  const peer: Peer = startPeer(
    MEASURED_CORE,
    choice.root === undefined ? './gateway-process.ts' : join(choice.root, 'bench/gateway-process.ts'),
    [writeConfig(choice, account)],
    choice.nodeArgs ?? [],
  )
  const started = (await peer.next()) as Pick<BenchGateway, 'port' | 'adminUrl' | 'adminToken'>
  const gateway = { ...started, pid: peer.pid, stop: peer.stop }
  await grant(gateway, account)
  return gateway
}

async function grant(gateway: BenchGateway, account: string): Promise<void> {
  const answer = await fetch(`${gateway.adminUrl}/admin/v1/accounts/${account}/grants`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ amount: '1000000', unit: 'USD', funding: 'invoiced' }),
  })
  if (!answer.ok) throw new Error(`the grant was answered ${answer.status}: ${await answer.text()}`)
}
