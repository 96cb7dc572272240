/**
 * The recorded calls through the sizing of holds, without a gateway: how much would have been held for each, how much
 * was used, and how both come nearer as calls are learnt from.
 */
import type { Plan } from '../src/config/snapshot.ts'
import { type CostCeiling, costCeiling } from '../src/core/cost-ceiling.ts'
import { outputLimit } from '../src/core/output-tokens.ts'
import type { CallPrice } from '../src/core/price-book.ts'
import { priceUsage } from '../src/core/price-usage.ts'
import type { Usage } from '../src/core/usage.ts'
import { HoldSizing, type SizedCall } from '../src/http/hold-sizing.ts'
import { totalInput, totalOutput } from '../src/providers/usage-totals.ts'
import { splitText } from '../src/tokenizer/split-text.ts'
import { loadMetered, matchOf, meteringOf, type Recording, requestOf, sourceOf } from '../test/recordings/recordings.ts'

/** Their recordings left out most of the request, or the provider read pages that no body shows and did not say so. */
const NOT_AS_SENT = new Set(['anthropic-messages-unary-15', 'bedrock-invoke-unary-13'])
/** USD a million: output at four times the price of input, what is cached at a tenth. Ratios hang on no more. */
const PRICE: CallPrice = makePrice()

export type HoldPlan = Plan['hold']

export interface RecordedCall {
  readonly id: string
  readonly read: SizedCall
  readonly usage: Usage
  /** By the model's own tokenizer, where it has one. */
  readonly exactTokens: number | undefined
}

export interface Share {
  readonly median: number
  readonly p95: number
}

export interface HoldFigures {
  readonly calls: number
  /** Held over charged. */
  readonly money: Share
  /** Tokens held over tokens used. */
  readonly input: Share
  readonly output: Share
  /** Calls whose visible input came to more than was held for it, of all. */
  readonly underestimated: number
  /** Calls whose output came to more than was held at first, of all. */
  readonly beyond: number
}

/** Those that state their usage and whose input can be seen whole. */
export async function recordedCalls(): Promise<RecordedCall[]> {
  const calls: RecordedCall[] = []
  for (const recording of await loadMetered()) {
    const usage = usageOf(recording)
    const metering = meteringOf(recording)
    if (usage === undefined || metering === undefined || NOT_AS_SENT.has(recording.id)) continue
    const body = requestOf(recording).body
    if (body === undefined) continue
    const call = metering.readCall(body, { ...sourceOf(recording), exact: true })
    if (call.unseenInput) continue
    const read = { ...surroundings(recording), call } as unknown as SizedCall
    calls.push({ id: recording.id, read, usage, exactTokens: await exactTokens(call) })
  }
  return calls
}

export interface Replay {
  readonly hold: HoldPlan
  readonly rounds: number
  readonly seed: number
  /** Which calls are learnt from; default all. */
  readonly learnt?: (call: RecordedCall) => boolean
  /** Which are measured; default all. */
  readonly measured?: (call: RecordedCall) => boolean
}

/** The calls again and again, each round in another order. Figures of each round. */
export function replay(calls: readonly RecordedCall[], options: Replay): HoldFigures[] {
  const sizing = new HoldSizing()
  const random = randomFrom(options.seed)
  const { learnt = () => true, measured = () => true } = options
  return Array.from({ length: options.rounds }, () => {
    const held: Held[] = []
    for (const recorded of shuffled(calls, random)) {
      const one = holdFor(sizing, recorded, options.hold)
      if (measured(recorded)) held.push(one)
      if (learnt(recorded)) sizing.learn({ ...one.read, ...one, trimmedTo: undefined }, recorded.usage)
    }
    return figuresOf(held)
  })
}

interface Held {
  readonly read: SizedCall
  readonly usage: Usage
  readonly input: ReturnType<HoldSizing['input']>
  readonly ceiling: CostCeiling
}

function holdFor(sizing: HoldSizing, recorded: RecordedCall, hold: HoldPlan): Held {
  const plan = { ...recorded.read.plan, hold }
  const read = { ...recorded.read, plan }
  const input = sizing.input(read, hold.tokenizer === 'exact' ? recorded.exactTokens : undefined)
  const limit = outputLimit(read.call, plan, PRICE.maxOutputTokens).limitTokens
  const usualTokens = sizing.output(read, limit)
  const ceiling = costCeiling({
    call: read.call,
    input,
    usualTokens,
    price: PRICE,
    plan,
    unseenTokens: undefined,
    scale: 9,
    unpricedKind: 'parent',
  })
  if (ceiling.refused !== undefined) throw new Error(ceiling.message)
  return { read, usage: recorded.usage, input, ceiling }
}

function figuresOf(held: readonly Held[]): HoldFigures {
  const generating = held.filter(({ read, usage }) => read.call.generates && totalOutput(usage) > 0)
  const share = (count: number): number => count / held.length
  return {
    calls: held.length,
    money: shareOf(held.map(heldOverCharged)),
    input: shareOf(held.map(({ input, usage }) => input.highTokens / totalInput(usage))),
    output: shareOf(
      generating.map(({ ceiling, read, usage }) => (ceiling.wantTokens * read.call.answers) / totalOutput(usage)),
    ),
    underestimated: share(held.filter(({ input, usage }) => input.highTokens < totalInput(usage)).length),
    beyond: share(
      generating.filter(({ ceiling, read, usage }) => ceiling.wantTokens * read.call.answers < totalOutput(usage))
        .length,
    ),
  }
}

function heldOverCharged({ ceiling, usage }: Held): number {
  const held = ceiling.fixedAtoms + ceiling.perTokenAtoms * BigInt(ceiling.wantTokens)
  const { chargeAtoms } = priceUsage(PRICE, usage, { scale: 9, unpricedKind: 'parent' })
  return Number(held) / Number(chargeAtoms)
}

function shareOf(ratios: readonly number[]): Share {
  const sorted = ratios.filter(Number.isFinite).toSorted((a, b) => a - b)
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
  return { median: at(0.5), p95: at(0.95) }
}

function usageOf({ expected }: Recording): Usage | undefined {
  const tokens = expected.tokens
  const total = tokens?.['input_total']
  if (!tokens || !total || expected.ambiguous) return undefined
  const cached = tokens['input_cached_read'] ?? 0
  const written = tokens['input_cache_write'] ?? 0
  const input = Math.max(0, total - cached - written)
  return {
    tokens: { input, cached_input: cached, cache_write_5m: written, output: tokens['output_total'] ?? 0 },
    raw: null,
  }
}

/** One key for each provider, as an application has. */
function surroundings(recording: Recording): Omit<SizedCall, 'call'> {
  const plan = {
    name: 'bench',
    unit: 'USD',
    scale: 9,
    enforcement: 'enforce',
    maxCostPerCallAtoms: undefined,
    maxOutputTokens: undefined,
    trim: { enabled: true, minOutputTokens: 256, minReasoningTokens: 4096, structured: false, tools: true },
    streaming: undefined,
    hold: { input: 'worst', output: 'ceiling', tokenizer: 'estimate' },
  }
  return {
    key: { id: 'bench', account: { id: 'bench' } },
    caller: { run: undefined },
    plan,
    upstream: { name: recording.provider },
    operation: { endpoint: matchOf(recording)?.operation.endpoint ?? 'chat' },
    startedAtMs: 0,
  } as unknown as Omit<SizedCall, 'call'>
}

async function exactTokens(call: SizedCall['call']): Promise<number | undefined> {
  const exact = call.input.text?.exact
  if (exact === undefined) return undefined
  const { countTokens } =
    exact.encoding === 'o200k_base'
      ? await import('gpt-tokenizer/encoding/o200k_base')
      : await import('gpt-tokenizer/encoding/cl100k_base')
  let tokens = 0
  for (const text of exact.texts)
    for (const piece of splitText(text)) tokens += countTokens(piece, { disallowedSpecial: new Set() })
  return tokens
}

function makePrice(): CallPrice {
  const rates = { perMillion: { input: '1', cached_input: '0.1', output: '4' }, perUnit: {} }
  return {
    version: 'bench',
    unit: 'USD',
    costUnit: 'USD',
    cost: rates,
    charge: rates,
    contextWindow: undefined,
    maxOutputTokens: 16_384,
  }
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list
    .map((item) => [random(), item] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item)
}

/** Numerical Recipes' linear congruence: the same everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
