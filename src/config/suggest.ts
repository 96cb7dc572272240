/** Number of single-character edits (swapping neighbours is one) between two words, or `max + 1` where it is more. */
function editDistance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1)
      }
      row.push(best)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}

/** The known word that `word` was most likely meant to be, or undefined where none is near: a third of its letters. */
export function suggest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > 128) return undefined
  const plain = word.toLowerCase().replaceAll('-', '_')
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    if (candidate === word) continue
    const distance = editDistance(plain, candidate.toLowerCase().replaceAll('-', '_'), bestDistance - 1)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `; did you mean "x"?`, or the list of what there is where that is short, or nothing. */
export function remedy(word: string, known: readonly string[], called: string): string {
  const near = suggest(word, known)
  if (near !== undefined) return `; did you mean "${near}"?`
  if (known.length === 0 || known.length > 12) return ''
  return `; ${called}: ${known.join(', ')}`
}
