import { Redis } from 'ioredis'
import { newId } from '../../src/core/ids.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type {
  CheckpointRequest,
  Grant,
  GrantRequest,
  HoldRequest,
  HoldTerms,
  LedgerEntry,
  SettleRequest,
  SettleResult,
  Wallet,
} from '../../src/wallet/wallet-types.ts'
import { creditRequest } from './credit-request.ts'

/** A wallet whose scripts take their time from `clock.nowMs`. */
export interface TestWallet {
  readonly wallet: Wallet
  readonly redis: Redis
  readonly clock: { nowMs: number }
  close(): void
}

export function testWallet(url: string): TestWallet {
  const redis = new Redis(url)
  // Far ahead of any real clock: Redis drops records by its own time, whose life the test tells by this one.
  const clock = { nowMs: 4_000_000_000_000 }
  const wallet = createWallet(redis, { testClock: () => clock.nowMs })
  return { wallet, redis, clock, close: () => redis.disconnect() }
}

let accounts = 0

/** Short calls for one fresh account: each answers a request with every field, changed where the test says. */
export function accountOf(test: TestWallet, account = `account-${++accounts}`) {
  const { wallet, clock } = test
  const terms = (more: Partial<HoldTerms> = {}): HoldTerms => ({
    id: newId(clock.nowMs),
    account,
    unit: 'USD',
    scale: 9,
    onExhausted: { mode: 'block' },
    overflowPeriod: '',
    observe: false,
    facts: {
      model: 'gpt-5-mini',
      upstream: 'openai',
      endpoint: 'chat',
      key: 'ci-bot',
      run: undefined,
      user: undefined,
      labels: { team: 'platform' },
    },
    floorAtoms: 0n,
    priceVersion: 'v1',
    onTimeout: 'known',
    ...more,
  })
  /** A call of exactly `atoms`: no tokens to trim. */
  const call = (atoms: bigint, more: Partial<HoldRequest> = {}): HoldRequest => ({
    ...terms(more),
    fixedAtoms: atoms,
    perTokenAtoms: 0n,
    leastTokens: 0,
    wantTokens: 0,
    totalTokens: 0,
    deadlineMs: 120_000,
    dryRun: false,
    info: '{}',
    ...more,
  })
  const grantRequest = (atoms: bigint, more: Partial<GrantRequest> = {}): GrantRequest =>
    creditRequest(atoms, {
      account,
      operationId: newId(clock.nowMs),
      id: newId(clock.nowMs),
      funding: 'external',
      ...more,
    })
  const admin = (): { account: string; operationId: string; reason: string; actor: string } => ({
    account,
    operationId: newId(clock.nowMs),
    reason: 'test',
    actor: 'test',
  })
  return {
    account,
    terms,
    call,
    grantRequest,
    hold: (atoms: bigint, more: Partial<HoldRequest> = {}) => wallet.hold(call(atoms, more)),
    settle: (of: HoldTerms, finalAtoms: bigint, more: Partial<SettleRequest> = {}): Promise<SettleResult> =>
      wallet.settle({ terms: of, finalAtoms, info: '{}', ...more }),
    void: (id: string) => wallet.void({ id, account, reason: 'never_sent' }),
    checkpoint: (id: string, number: number, cumulativeAtoms: bigint, extend?: CheckpointRequest['extend']) =>
      wallet.checkpoint({ id, account, number, cumulativeAtoms, deadlineMs: 120_000, extend }),
    async grant(atoms: bigint, more: Partial<GrantRequest> = {}): Promise<Grant> {
      const result = await wallet.grant(grantRequest(atoms, more))
      if (result.status !== 'done') throw new Error(`grant: ${result.status}`)
      return result.value
    },
    voidGrant: (grant: string) => wallet.voidGrant({ ...admin(), grant }),
    adjust: (amountAtoms: bigint) =>
      wallet.adjust({ ...admin(), grantId: newId(clock.nowMs), unit: 'USD', scale: 9, amountAtoms }),
    freeze: (frozen: boolean) => wallet.setFrozen({ ...admin(), frozen }),
    async balance() {
      const balance = (await wallet.balances(account))[0]
      if (!balance) throw new Error('no wallet')
      return balance
    },
    grants: () => wallet.grants(account),
    holds: () => wallet.holds(account),
    ledger: () => wholeLedger(wallet, account),
  }
}

export type TestAccount = ReturnType<typeof accountOf>

export async function wholeLedger(wallet: Wallet, account: string): Promise<readonly LedgerEntry[]> {
  const entries: LedgerEntry[] = []
  for (;;) {
    const page = await wallet.ledger(account, { afterSeq: entries.at(-1)?.seq ?? 0, limit: 1000, type: undefined })
    entries.push(...page)
    if (page.length < 1000) return entries
  }
}

/** Every key of the account and all that is in it, for "changed nothing". Operation records and refusals apart. */
export async function stateOf(redis: Redis, account: string): Promise<Readonly<Record<string, string>>> {
  const state: Record<string, string> = {}
  for (const name of ['acct', 'grants', 'order', 'due', 'holds', 'ledger', 'gkeys']) {
    const key = `tg:{${account}}:${name}`
    const dump = await redis.dumpBuffer(key)
    state[name] = dump === null ? '' : dump.toString('base64')
  }
  return state
}
