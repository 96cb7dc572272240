/** What differs, collected: a field, what Redis keeps in it, and what the ledger says. */

export interface Difference {
  /** Such as `USD.available`, `grant 01J….free`, `budget monthly~USD~lifetime~.spent`. */
  readonly field: string
  readonly kept: string
  readonly ledger: string
}

export const ABSENT = 'absent'

export interface Differences {
  readonly found: Difference[]
  /** Notes it where the two are not the same. */
  same(field: string, kept: string | number | bigint | undefined, ledger: string | number | bigint | undefined): void
}

export function collectDifferences(): Differences {
  const found: Difference[] = []
  return {
    found,
    same(field, kept, ledger) {
      const [left, right] = [kept === undefined ? ABSENT : String(kept), ledger === undefined ? ABSENT : String(ledger)]
      if (left !== right) found.push({ field, kept: left, ledger: right })
    },
  }
}

/** Fields of a record in order; undefined, and noted, where it has not the form. */
export function readRecord(
  differences: Differences,
  field: string,
  pattern: RegExp,
  record: string,
): readonly string[] | undefined {
  const match = pattern.exec(record)
  if (match) return match.slice(1).map((part) => part ?? '')
  differences.found.push({ field, kept: record, ledger: 'a record of its form' })
  return undefined
}
