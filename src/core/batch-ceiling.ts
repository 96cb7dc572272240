/** The most that a batch may cost: the sum of its lines, each at its own ceiling and the batch price. */
import type { BatchGroup, DearLine } from './batch-sum.ts'
import { type CeilingRates, ceilingRates } from './ceiling-rates.ts'
import { ASSUMED_INPUT_TOKENS } from './cost-ceiling.ts'
import { decimalParts, roundCeiling, type UnpricedKind } from './exact-rates.ts'
import type { Atoms } from './money.ts'
import type { CallPrice } from './price-book.ts'
import type { ServiceTier } from './service-tier.ts'
import { type CountedKind, TOKEN_KINDS } from './usage.ts'

export interface GroupCeiling {
  readonly group: BatchGroup
  /** All its lines, rounded up once. */
  readonly atoms: Atoms
  /** The dearest of them: never below what any line may cost. */
  readonly lineAtoms: Atoms
  /** Input and output as they are held: what budgets of tokens count. */
  readonly tokens: number
  /** The input of its lines had to be assumed. */
  readonly guessed: boolean
}

export interface GroupQuestion {
  readonly group: BatchGroup
  /** undefined (observe, `allow_unmetered`): it costs 0. */
  readonly price: CallPrice | undefined
  /** Output held for a line that names no limit. */
  readonly outputTokens: number
  readonly scale: number
  readonly unpricedKind: UnpricedKind
}

/** One array: rates are kept by it. */
const BATCH: readonly ServiceTier[] = ['batch']

export function groupCeiling({ group, price, outputTokens, scale, unpricedKind }: GroupQuestion): GroupCeiling {
  const unseen = group.unseenInput ? (price?.contextWindow ?? ASSUMED_INPUT_TOKENS) : 0
  const output = (line: { readonly outputTokens: number }): number =>
    group.limited ? line.outputTokens : line.outputTokens * outputTokens
  const tokens = group.highTokens + group.lines * unseen + output(group)
  const guessed = group.unseenInput && price?.contextWindow === undefined
  if (price === undefined) return { group, atoms: 0n, lineAtoms: 0n, tokens, guessed }
  const highTokens = group.longestTokens + unseen
  const rates = ceilingRates(price, { tiers: BATCH, highTokens, scale, unpricedKind })
  const cost = (line: DearLine, lines: number): Atoms =>
    costOf(group, line, { rates, lines, unseen, output: output(line) })
  const dearest = group.dearest.map((line) => cost(line, 1))
  return {
    group,
    atoms: cost(group, group.lines),
    lineAtoms: dearest.reduce((most, atoms) => (atoms > most ? atoms : most), 0n),
    tokens,
    guessed,
  }
}

interface LineCosts {
  readonly rates: CeilingRates
  readonly lines: number
  /** Input of a line that cannot be seen. */
  readonly unseen: number
  readonly output: number
}

function costOf(group: BatchGroup, line: DearLine, { rates, lines, unseen, output }: LineCosts): Atoms {
  const write = larger(rates.tokens[group.cacheWriteKind], rates.plainInput)
  let numerator = 0n
  let text = line.highTokens + lines * unseen
  for (const kind of TOKEN_KINDS) {
    const count = Math.min(line.parts[kind] ?? 0, text)
    if (count === 0) continue
    text -= count
    numerator += BigInt(count) * larger(rates.tokens[kind], line.cacheWriteTokens > 0 ? write : rates.plainInput)
  }
  const written = Math.min(line.cacheWriteTokens, text)
  numerator += BigInt(written) * write + BigInt(text - written) * rates.plainInput
  numerator += BigInt(output) * outputRate(group, rates)
  return roundCeiling(...withUnits(line, rates, lines, numerator))
}

function outputRate(group: BatchGroup, rates: CeilingRates): bigint {
  if (!group.generates) return 0n
  let rate = rates.tokens.output
  if (group.audioOutput) rate = larger(rate, rates.tokens.audio_output)
  return group.imageOutput ? larger(rate, rates.tokens.image_output) : rate
}

/** Counted things, and the fee of each request; seconds come in fractions. */
function withUnits(line: DearLine, rates: CeilingRates, lines: number, tokens: bigint): [bigint, bigint] {
  let numerator = tokens
  let denominator = rates.denominator
  for (const [kind, rate] of Object.entries(rates.units) as [CountedKind, bigint][]) {
    const count = Math.max(line.units[kind] ?? 0, kind === 'requests' ? lines : 0)
    if (count === 0) continue
    const { mantissa, decimals } = decimalParts(count)
    const finer = 10n ** BigInt(decimals)
    numerator = numerator * finer + mantissa * rate * (denominator / rates.denominator)
    denominator *= finer
  }
  return [numerator, denominator]
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
