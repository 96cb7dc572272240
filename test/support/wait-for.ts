import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks again until the answer is neither undefined nor false, and gives it back. Throws after `withinMs` with
 * `what` and the last error, if the question threw one. The time is for a machine that is busy: it says that the answer
 * never comes, not that it comes late.
 */
export async function waitFor<T>(
  what: string,
  question: () => T | Promise<T>,
  { withinMs = 60_000, everyMs = 10 }: { readonly withinMs?: number; readonly everyMs?: number } = {},
): Promise<Exclude<T, undefined | false>> {
  const deadlineMs = performance.now() + withinMs
  let cause: unknown
  while (performance.now() < deadlineMs) {
    try {
      const answer = await question()
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>
    } catch (error) {
      cause = error
    }
    await sleep(everyMs)
  }
  throw new Error(`not within ${withinMs} ms: ${what}`, { cause })
}
