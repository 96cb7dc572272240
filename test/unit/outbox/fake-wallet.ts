import type { Log } from '../../../src/log.ts'
import type {
  CheckpointRequest,
  CheckpointResult,
  HoldTerms,
  SettleRequest,
  SettleResult,
  VoidRequest,
  VoidResult,
} from '../../../src/wallet/wallet-types.ts'
import { WalletUnavailable } from '../../../src/wallet/wallet-types.ts'

export function terms(id: string, more: Partial<HoldTerms> = {}): HoldTerms {
  return {
    id,
    account: 'acme',
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
    floorAtoms: 7n,
    priceVersion: 'p1',
    onTimeout: 'known',
    ...more,
  }
}

export function settlement(id: string, finalAtoms = 100n): SettleRequest {
  return { terms: terms(id), finalAtoms, info: '{"request_id":"r"}' }
}

const settled: SettleResult = {
  status: 'settled',
  replay: false,
  seq: 1,
  chargedAtoms: 100n,
  drawn: [],
  overage: undefined,
  overrunAtoms: 0n,
  availableAtoms: 0n,
}

/** Records what it is asked. `fail` decides for each request whether Redis answers. */
export class FakeWallet {
  readonly acknowledged: string[] = []
  readonly settles: SettleRequest[] = []
  readonly voids: VoidRequest[] = []
  readonly checkpoints: CheckpointRequest[] = []
  attempts = 0
  fail: (id: string) => Error | undefined = () => undefined

  async settle(request: SettleRequest): Promise<SettleResult> {
    await this.#answer(request.terms.id)
    this.settles.push(request)
    this.acknowledged.push(`settle ${request.terms.id} ${request.finalAtoms}`)
    return settled
  }

  async void(request: VoidRequest): Promise<VoidResult> {
    await this.#answer(request.id)
    this.voids.push(request)
    this.acknowledged.push(`void ${request.id} ${request.reason}`)
    return { status: 'voided', replay: false, releasedAtoms: 0n }
  }

  async checkpoint(request: CheckpointRequest): Promise<CheckpointResult> {
    await this.#answer(request.id)
    this.checkpoints.push(request)
    this.acknowledged.push(`checkpoint ${request.id} ${request.cumulativeAtoms}`)
    return { status: 'checkpointed', tokens: 0, heldAtoms: 0n, availableAtoms: 0n }
  }

  async #answer(id: string): Promise<void> {
    this.attempts++
    const error = this.fail(id)
    if (error) throw error
  }
}

export const away = new WalletUnavailable('not connected to Redis', false)

/** Keeps the lines, to tell what was said and that nothing was said twice. */
export function memoryLog(): Log & { readonly lines: string[] } {
  const lines: string[] = []
  const write = (level: string) => (_fields: unknown, message: string) => void lines.push(`${level}: ${message}`)
  return { lines, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

export async function until(condition: () => boolean, withinMs = 30_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!condition()) {
    if (Date.now() > end) throw new Error('the condition did not come true')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
