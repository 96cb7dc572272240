import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** By how long their files take, the longest first: what begins last must not be what everyone waits for. */
const SLOW = [
  '/test/model/',
  '/test/e2e/allowances',
  '/test/faults/',
  '/test/recordings/',
  '/test/metrics/',
  '/test/e2e/',
]

/** In a fresh clone vitest knows no durations, and would begin with the largest files. */
export default class SlowFirstSequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = SLOW.findIndex((part) => moduleId.includes(part))
      return index < 0 ? SLOW.length : index
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}
