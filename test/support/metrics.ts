/** What a running gateway counts, read as Prometheus reads it. */
import type { TestGateway } from './gateway.ts'

/** Sum of the series of one family whose labels have these values; 0 where there is none. */
export async function metricOf(
  gateway: TestGateway,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  let sum = 0
  for (const line of text.split('\n')) {
    const match = /^tollgate_(\w+)(?:\{([^}]*)\})? (\S+)$/.exec(line)
    if (match?.[1] !== name) continue
    const own = (match[2] ?? '').split(',')
    if (wanted.every((label) => own.includes(label))) sum += Number(match[3])
  }
  return sum
}
