/**
 * The wallet's own share: hold and settle by its typed functions, one after the other, without HTTP.
 * `wallet-process.ts REDIS_URL`; each message { seconds, grants } is one run, answered by { pairs, seconds }.
 */
import { newId } from '../src/core/ids.ts'
import { connectRedis } from '../src/redis/client.ts'
import { createWallet } from '../src/wallet/redis-wallet.ts'
import type { HoldRequest } from '../src/wallet/wallet-types.ts'
import { CONNECTIONS } from './saturate.ts'

const [url] = process.argv.slice(2)
if (url === undefined) throw new Error('usage: wallet-process.ts REDIS_URL')
const client = connectRedis({
  url,
  commandMs: 2_000,
  connectMs: 1_000,
  breakerFailures: 1_000,
  breakerWindowMs: 1_000,
  probeMs: 500,
})
await client.whenUp(2_000)
const wallet = createWallet(client)

const INFO = JSON.stringify({ key: 'bench', upstream: 'openai', model: 'gpt-bench', endpoint: 'chat' })
const SETTLE_INFO = JSON.stringify({
  key: 'bench',
  upstream: 'openai',
  model: 'gpt-bench',
  endpoint: 'chat',
  provider_request_id: 'req_bench',
  tokens: { input: 192, output: 160 },
  usage_source: 'provider',
  usage: { prompt_tokens: 192, completion_tokens: 160, total_tokens: 352 },
  price_version: '2026-01-01',
  cost: '0.000368',
  cost_unit: 'USD',
  status: 200,
  duration_ms: 900,
  ttfb_ms: 300,
})

function holdRequest(account: string): HoldRequest {
  return {
    id: newId(Date.now()),
    account,
    unit: 'USD',
    scale: 9,
    onExhausted: { mode: 'block' },
    overflowPeriod: '',
    observe: false,
    facts: {
      model: 'gpt-bench',
      upstream: 'openai',
      endpoint: 'chat',
      key: 'bench',
      run: undefined,
      user: undefined,
      labels: {},
    },
    floorAtoms: 40_000n,
    priceVersion: '2026-01-01',
    onTimeout: 'known',
    fixedAtoms: 100_000n,
    perTokenAtoms: 2_000n,
    leastTokens: 256,
    wantTokens: 256,
    totalTokens: 256,
    deadlineMs: 120_000,
    dryRun: false,
    info: INFO,
  }
}

/** Each grant is a little smaller in priority than the next, so that a hold looks at all but draws on the first. */
async function grant(account: string, priority: number): Promise<void> {
  const id = newId(Date.now())
  const result = await wallet.grant({
    account,
    operationId: id,
    id,
    key: undefined,
    unit: 'USD',
    scale: 9,
    amountAtoms: 1_000_000_000_000_000n,
    funding: 'invoiced',
    priority,
    effectiveAtMs: undefined,
    expiresAtMs: undefined,
    appliesTo: undefined,
    costBasis: undefined,
    repaysDebt: undefined,
    labels: {},
    actor: 'bench',
  })
  if (result.status !== 'done') throw new Error(`a grant was answered ${result.status}`)
}

async function pairsUntil(account: string, endMs: number): Promise<number> {
  let pairs = 0
  for (; performance.now() < endMs; pairs++) {
    const terms = holdRequest(account)
    const held = await wallet.hold(terms)
    if (held.status !== 'held') throw new Error(`a hold was answered ${held.status}`)
    const settled = await wallet.settle({ terms, finalAtoms: 368_000n, info: SETTLE_INFO })
    if (settled.status !== 'settled') throw new Error(`a settle was answered ${settled.status}`)
  }
  return pairs
}

async function run(seconds: number, grants: number): Promise<{ pairs: number; seconds: number }> {
  const account = `wallet-${newId(Date.now()).toLowerCase()}`
  for (let i = 0; i < grants; i++) await grant(account, i)
  const startedMs = performance.now()
  const endMs = startedMs + seconds * 1000
  const counts = await Promise.all(Array.from({ length: CONNECTIONS }, () => pairsUntil(account, endMs)))
  return { pairs: counts.reduce((sum, count) => sum + count, 0), seconds: (performance.now() - startedMs) / 1000 }
}

process.on('message', async (job: { readonly seconds: number; readonly grants: number }) => {
  process.send?.(await run(job.seconds, job.grants))
})
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
