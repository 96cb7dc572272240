import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { CommandDeadlines, CommandTimedOut } from '../../../src/redis/command-deadlines.ts'

const never = () => new Promise<string>(() => {})

function blockLoop(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

test('an answer in time is passed on, an error too', async () => {
  const deadlines = new CommandDeadlines(200)
  expect(await deadlines.bound(Promise.resolve('PONG'))).toBe('PONG')
  await expect(deadlines.bound(Promise.reject(new Error('NOSCRIPT')))).rejects.toThrow('NOSCRIPT')
  deadlines.close()
})

test('a command without an answer ends at its limit', async () => {
  const deadlines = new CommandDeadlines(200)
  const startedMs = performance.now()
  await expect(deadlines.bound(never())).rejects.toThrow(CommandTimedOut)
  expect(performance.now() - startedMs).toBeGreaterThan(150)
  deadlines.close()
})

test('an event loop that stands still for longer than the limit times nothing out', async () => {
  const deadlines = new CommandDeadlines(200)
  const answer = deadlines.bound(sleep(50, 'late'))
  await sleep(10)
  blockLoop(500)
  expect(await answer).toBe('late')
  deadlines.close()
})

test('a lost connection ends all of them at once', async () => {
  const deadlines = new CommandDeadlines(10_000)
  const answers = [deadlines.bound(never()), deadlines.bound(never())]
  deadlines.failAll(new Error('gone'))
  for (const answer of answers) await expect(answer).rejects.toThrow('gone')
  deadlines.close()
})
