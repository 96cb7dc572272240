import { access } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import type { AdmittedCall } from '../../../src/http/admitted-call.ts'
import type { CallDependencies } from '../../../src/http/call-dependencies.ts'
import { HoldKeeper, sliceWaits } from '../../../src/http/hold-keeper.ts'
import type { CheckpointResult } from '../../../src/wallet/wallet-types.ts'

const SLICE: CheckpointResult = { status: 'checkpointed', heldAtoms: 20n, tokens: 10, availableAtoms: 0n }

const waits = sliceWaits()
afterEach(() => waits.failAll(new Error('the test is over')))

/** A keeper whose wallet answers with `answer`, and what it told its call. */
function keeping(answer: () => Promise<CheckpointResult>) {
  const told: string[] = []
  const deps = { now: Date.now, sliceWaits: waits, sweeper: { touch() {} }, wallet: { checkpoint: answer } }
  const admitted = {
    id: 'c',
    startedAtMs: 0,
    terms: { account: 'acme', counts: [] },
    snapshot: { settings: { limits: { holdDeadlineMs: 60_000, checkpointEveryMs: 20_000 } } },
    ceiling: { fixedAtoms: 0n, perTokenAtoms: 1n, sliced: true },
    call: { answers: 1, generates: true, goesOn: false },
    plan: { streaming: { sliceTokens: 10 } },
    held: { heldAtoms: 10n, tokens: 10 },
  }
  const keeper = new HoldKeeper(deps as unknown as CallDependencies, admitted as unknown as AdmittedCall, {
    knownAtoms: () => 5n,
    knownTokens: () => 5,
    onSlice: (tokens) => told.push(`${tokens} more`),
    onNoSlice: (refusal) => told.push(refusal?.status ?? 'no answer'),
  })
  return { keeper, told }
}

function blockLoop(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

test('a stream that waits for its slice ends when none came', async () => {
  const { keeper, told } = keeping(() => new Promise(() => {}))
  const startedMs = performance.now()
  keeper.wait()
  while (told.length === 0 && performance.now() - startedMs < 10_000) await sleep(5)
  expect(told).toEqual(['no answer'])
  expect(performance.now() - startedMs).toBeGreaterThan(200)
})

test('a slice in time lets it go on, and nothing ends it after', async () => {
  const { keeper, told } = keeping(async () => SLICE)
  keeper.wait()
  await sleep(600)
  expect(told).toEqual(['10 more'])
})

test('an event loop that stood still while the slice came does not end it', async () => {
  const { keeper, told } = keeping(() => access('/').then(() => SLICE))
  // Goes on where the loop reads what came: there the answer below is ready, and no timer was looked at since.
  await access('/')
  keeper.wait()
  blockLoop(500)
  await sleep(600)
  expect(told).toEqual(['10 more'])
})
