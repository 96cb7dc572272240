/** Alerts for random histories: thresholds that small amounts cross, waits and periods of seconds. */
import type { LowAlert, WalletAlerts } from '../../src/core/alerts.ts'
import type { Random } from './random.ts'

export function randomAlerts(random: Random, nowMs: number): WalletAlerts | undefined {
  if (random.chance(0.15)) return undefined
  const low = (): LowAlert =>
    random.pick([
      () => ({ kind: 'granted', millionths: random.pick([100_000, 200_000, 333_333, 800_000]) }) as const,
      () => ({ kind: 'below', atoms: BigInt(random.below(300)) }) as const,
      () => ({ kind: 'hours', hours: random.pick([1, 24]) }) as const,
    ])()
  const lengthMs = random.pick([5000, 60_000, 86_400_000])
  const start = nowMs - (nowMs % lengthMs)
  const topUp = {
    belowAtoms: BigInt(random.below(250)),
    amountAtoms: 100n,
    atMostAtoms: random.pick([0n, 100n, 250n, 1000n]),
    waitMs: random.pick([100, 1000]),
    bounds: [start - lengthMs, start, start + lengthMs, start + 2 * lengthMs] as const,
  }
  return {
    quiet: random.chance(0.15),
    lows: Array.from({ length: random.below(4) }, low),
    expiresInMs: random.pick([undefined, 1, 400, 2000]),
    topUp: random.chance(0.5) ? topUp : undefined,
  }
}
