import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Tail } from '../../../src/meter/tail.ts'

const SEED = 20261123

test(`what is kept are the last bytes, whatever the pieces (seed ${SEED})`, () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }),
      (max, pieces) => {
        const tail = new Tail(max)
        let all = Buffer.alloc(0)
        for (const piece of pieces) {
          all = Buffer.concat([all, piece])
          tail.push(Buffer.from(piece))
          expect(tail.bytes.equals(all.subarray(Math.max(0, all.length - max)))).toBe(true)
        }
        tail.clear()
        expect(tail.bytes.length).toBe(0)
      },
    ),
    { seed: SEED, numRuns: 500 },
  )
})
