/** What a provider or a caller might send in place of a value. */
export const ODD: readonly unknown[] = [
  null,
  -1,
  0,
  1.5,
  1e308,
  Number.MAX_SAFE_INTEGER,
  '7',
  '',
  [],
  {},
  true,
  ['x'],
  { a: 1 },
]

/** One value somewhere inside exchanged for an odd one, or (`odd` is their number) the member left out. */
export function changed(value: unknown, at: number, odd: number): unknown {
  const places: (() => void)[] = []
  const copy: unknown = structuredClone(value)
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    for (const key of Object.keys(node)) {
      const holder = node as Record<string, unknown>
      places.push(() => {
        if (odd === ODD.length) delete holder[key]
        else holder[key] = ODD[odd]
      })
      visit(holder[key])
    }
  }
  visit(copy)
  places[at % Math.max(1, places.length)]?.()
  return copy
}
