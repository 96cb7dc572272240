/**
 * Some mutants of the scripts; all of them: run.ts. MUTANTS says how many, MUTANTS_SEED which: under CI the same ones each
 * time, so that red means the change under test, elsewhere others.
 */
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { redisAvailable } from '../../support/redis.ts'
import { randomFrom } from '../random.ts'
import { startTestKiller } from './kill-by-tests.ts'
import { mutantsOfFile, scriptFiles, startKiller, testsOfFile } from './kill-mutants.ts'
import { type Mutant, mutantsOf, nameOf } from './lua-mutants.ts'
import { readSurvivors } from './survivors.ts'

const { MUTANTS, MUTANTS_SEED, CI } = process.env
const count = Number(MUTANTS ?? (CI === 'true' ? 60 : 6))
const seed = Number(MUTANTS_SEED ?? (CI === 'true' ? 1 : Math.floor(Math.random() * 1e9)))
/** Nearly all fall to the first few; the rest is asked all of them. What these do not find is in survivors.md. */
const HISTORIES = 64
/** Of those that named tests find, by survivors.md or by their script: each takes a run of such a test. */
const TRIED_BY_TESTS = CI === 'true' ? 2 : 1

const survivors = readSurvivors()
const mutants = scriptFiles().flatMap(mutantsOfFile)
const isOfTestedScript = ({ file }: Mutant): boolean => testsOfFile(file).length > 0

test('every change of a small script is made once', () => {
  const text = 'local a, b = 1, 2\nif a < b and not c then\n  f(math.min(a, b))\nend\nw.free = w.free + 1\n'
  expect(mutantsOf('x.lua', text).map(({ lineNumber, change }) => `${lineNumber}: ${change}`)).toEqual([
    '1: local a, b = 2, 2',
    '1: local a, b = 1, 3',
    '2: if not (a < b and not c) then',
    '2: if a < b or not c then',
    '2: if a <= b and not c then',
    '2: if a >= b and not c then',
    '2: if a < b and c then',
    '3: (nothing)',
    '3: f(math.max(a, b))',
    '5: (nothing)',
    '5: w.held = w.free + 1',
    '5: w.free = w.free - 1',
    '5: w.free = w.held + 1',
    '5: w.free = w.free + 2',
  ])
})

test('a line that stands twice is changed in each of its places', () => {
  const named = mutantsOf('x.lua', 'if a then\n  f(1)\nelse\n  f(1)\nend\n').map(
    ({ lineNumber, line, change }) => `${lineNumber}: ${line} => ${change}`,
  )
  expect(named).toEqual([
    '1: if a then => if not (a) then',
    '2: f(1) => (nothing)',
    '2: f(1) => f(2)',
    '4: f(1) (2) => (nothing)',
    '4: f(1) (2) => f(2)',
  ])
})

test('every survivor that has a reason is a mutant of the scripts as they are', () => {
  const names = new Set(mutants.map(nameOf))
  expect([...survivors.keys()].filter((name) => !names.has(name))).toEqual([])
})

test('tests that a reason or a script names are there', () => {
  const named = [...survivors.values()].filter(({ reason }) => reason.startsWith('Found by'))
  expect(named.filter(({ foundBy }) => foundBy.length === 0)).toEqual([])
  const files = new Set([...named.flatMap(({ foundBy }) => foundBy), ...scriptFiles().flatMap(testsOfFile)])
  expect([...files].filter((file) => !existsSync(new URL(`../../../${file}`, import.meta.url)))).toEqual([])
})

test.skipIf(!redisAvailable)(
  `named tests find what they are said to find: ${TRIED_BY_TESTS} of each kind (MUTANTS_SEED ${seed})`,
  async () => {
    const random = randomFrom(seed)
    const ofMutants = mutants.filter((mutant) => (survivors.get(nameOf(mutant))?.foundBy.length ?? 0) > 0)
    const ofScripts = mutants.filter((mutant) => isOfTestedScript(mutant) && !survivors.has(nameOf(mutant)))
    const killer = startTestKiller()
    try {
      for (let i = 0; i < TRIED_BY_TESTS; i++) {
        for (const mutant of [random.pick(ofMutants), random.pick(ofScripts)]) {
          const files = survivors.get(nameOf(mutant))?.foundBy ?? testsOfFile(mutant.file)
          expect(await killer.kill(mutant, files), nameOf(mutant)).toBe(true)
        }
      }
    } finally {
      killer.stop()
    }
  },
  600_000,
)

test.skipIf(!redisAvailable)(
  `random histories find ${count} random mutants without a reason (MUTANTS_SEED ${seed})`,
  async () => {
    const random = randomFrom(seed)
    const candidates = mutants.filter((mutant) => !isOfTestedScript(mutant) && !survivors.has(nameOf(mutant)))
    const sample = new Set(Array.from({ length: count }, () => random.pick(candidates)))
    const killer = await startKiller()
    const left: string[] = []
    try {
      for (const mutant of sample) {
        const { file, lineNumber, line, change } = mutant
        if ((await killer.kill(mutant, HISTORIES)) === undefined)
          left.push(`${file}:${lineNumber}: ${line} => ${change}`)
      }
    } finally {
      await killer.stop()
    }
    expect(left, 'found by none: make a test that does, or write down why nothing can').toEqual([])
  },
  3_600_000,
)
