import { foldCase } from '../fold-case.ts'
import { InvalidCall } from '../provider.ts'

/** Refuses names that differ from a decisive one in their letters' case alone: what reads them may fold it. */
export function refuseMisspelt(names: Iterable<string>, decisive: readonly string[]): void {
  for (const name of names) {
    if (decisive.includes(name)) continue
    const folded = foldCase(name)
    const meant = decisive.find((candidate) => foldCase(candidate) === folded)
    if (meant !== undefined)
      throw new InvalidCall(`"${name.slice(0, 64)}" is not a field; did you mean "${meant}"?`, meant)
  }
}
