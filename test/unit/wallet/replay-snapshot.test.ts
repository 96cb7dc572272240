/**
 * Snapshots that an older version of this program wrote are read where the version in them is ours. So the version has to
 * change with what a replay makes of a ledger: here it is held against the states of fixed ledgers.
 *
 * replayed-ledgers.jsonl: a ledger a line, each entry as [sequence, packed, info]. They are histories of test/model, chosen
 * so that every member of the state is there, empty and filled.
 */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { decodeEntry } from '../../../src/wallet/ledger-entry.ts'
import { createReplay, type ReplayState } from '../../../src/wallet/replay.ts'
import { readReplay, writeReplay } from '../../../src/wallet/replay-snapshot.ts'

/**
 * What each version writes of these ledgers. Where this fails, raise VERSION in src/wallet/replay-snapshot.ts and add a
 * row: with the old number, snapshots that are on disk would be read as what they are not.
 */
const WRITTEN: Readonly<Record<number, string>> = {
  1: '905c1151acc8d1da08d23bbcff5d539d820b3df28e28e4877ebd4da5da366346',
}

const ledgers = readFileSync(new URL('replayed-ledgers.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as [seq: number, packed: string, info: string][])

function stateOf(ledger: (typeof ledgers)[number]): ReplayState {
  const replay = createReplay()
  const entries = ledger.map((entry) => decodeEntry(...entry))
  for (const entry of entries) {
    const charge = entry.type === 'refund' ? entries[Number(entry.fields['charge']) - 1] : undefined
    replay.apply(entry, charge)
  }
  return replay.state
}

test('the version of snapshots is another where the state of an account is', () => {
  const texts = ledgers.map((ledger) => writeReplay(stateOf(ledger)))
  const [{ version }] = texts.map((text) => JSON.parse(text) as { readonly version: number }) as [{ version: number }]
  const states = texts.map((text) => JSON.stringify((JSON.parse(text) as { readonly state: unknown }).state))
  expect({ version, written: hash('sha256', states.join('\n')) }).toEqual({ version, written: WRITTEN[version] })
})

test('the ledgers have something of everything, and what is read from a snapshot is what was written', () => {
  const states = ledgers.map(stateOf)
  const { counters: _, ...empty } = createReplay().state
  for (const [name, value] of Object.entries(empty)) {
    const filled = states.filter(
      (state) => JSON.stringify(sized(state[name as keyof ReplayState])) !== JSON.stringify(sized(value)),
    )
    expect([name, filled.length > 0]).toEqual([name, true])
  }
  expect(states.some(({ counters }) => counters.counters.size > 0 && counters.calls.size > 0)).toBe(true)
  for (const state of states) {
    const text = writeReplay(state)
    expect(writeReplay(readReplay(text)?.state as ReplayState)).toBe(text)
  }
})

function sized(value: unknown): unknown {
  return value instanceof Map || value instanceof Set ? value.size : value
}
