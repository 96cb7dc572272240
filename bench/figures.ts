/** From the samples of all rounds to the figures that are shown: medians, and ratios within a round. */
import type { RateSample, SaturationSample } from './measure.ts'

/** What one row gave in one round. */
export interface RoundSamples {
  readonly json: SaturationSample
  readonly stream: SaturationSample
  readonly jsonRate: RateSample
  readonly pacedRate: RateSample
}

/** By row name. */
export type Round = ReadonlyMap<string, RoundSamples>

export interface SaturationFigures {
  readonly callsPerSecond: number | null
  /** Throughput over nginx's in the same round. */
  readonly overNginx: number | null
  readonly cpuMicros: number | null
  /** CPU a call over nginx's in the same round. */
  readonly cpuOverNginx: number | null
  /** How much of its core the measured process used. */
  readonly coreShare: number | null
  readonly redisCpuMicros: number | null
  /** How much of the time another process had its core: beyond a few hundredths the figures say little. */
  readonly disturbed: number | null
}

/** Milliseconds beyond what the same round measured without anything in between. */
export interface AddedFigures {
  readonly p50: number | null
  readonly p90: number | null
  readonly p99: number | null
}

export interface RowFigures {
  readonly name: string
  readonly json: SaturationFigures
  readonly stream: SaturationFigures
  readonly jsonTotal: AddedFigures
  readonly streamFirst: AddedFigures
  readonly streamEvent: AddedFigures
  readonly streamTotal: AddedFigures
  readonly failed: number
}

/** The middle value, null where nothing was measured. Of an even number the lower of the two. */
export function median(values: readonly number[]): number | null {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  return sorted[Math.ceil(sorted.length / 2) - 1] ?? null
}

export function rowFigures(name: string, rounds: readonly Round[]): RowFigures {
  const failures = of(rounds, name).map((s) => s.json.failed + s.stream.failed + s.jsonRate.failed + s.pacedRate.failed)
  return {
    name,
    json: saturation(rounds, name, (samples) => samples.json),
    stream: saturation(rounds, name, (samples) => samples.stream),
    jsonTotal: added(rounds, name, (samples) => samples.jsonRate.total),
    streamFirst: added(rounds, name, (samples) => samples.pacedRate.first),
    streamEvent: added(rounds, name, (samples) => samples.pacedRate.eventDelay),
    streamTotal: added(rounds, name, (samples) => samples.pacedRate.total),
    failed: failures.reduce((sum, count) => sum + count, 0),
  }
}

function of(rounds: readonly Round[], name: string): readonly RoundSamples[] {
  return rounds.flatMap((round) => round.get(name) ?? [])
}

function saturation(
  rounds: readonly Round[],
  name: string,
  pick: (samples: RoundSamples) => SaturationSample,
): SaturationFigures {
  const samples = of(rounds, name).map(pick)
  const nginx = of(rounds, 'nginx').map(pick)
  const overNginx = (field: 'callsPerSecond' | 'cpuMicros') =>
    median(samples.map((sample, i) => sample[field] / (nginx[i]?.[field] ?? Number.NaN)))
  return {
    callsPerSecond: median(samples.map((sample) => sample.callsPerSecond)),
    overNginx: overNginx('callsPerSecond'),
    cpuMicros: median(samples.map((sample) => sample.cpuMicros)),
    cpuOverNginx: overNginx('cpuMicros'),
    coreShare: median(samples.map((sample) => sample.coreShare)),
    redisCpuMicros: median(samples.map((sample) => sample.redisCpuMicros)),
    disturbed: median(samples.map((sample) => sample.disturbed)),
  }
}

function added(
  rounds: readonly Round[],
  name: string,
  pick: (samples: RoundSamples) => RateSample['total'],
): AddedFigures {
  const samples = of(rounds, name).map(pick)
  const direct = of(rounds, 'direct').map(pick)
  const at = (point: 'p50' | 'p90' | 'p99') =>
    median(samples.map((sample, i) => (sample[point] - (direct[i]?.[point] ?? Number.NaN)) / 1000))
  return { p50: at('p50'), p90: at('p90'), p99: at('p99') }
}
