import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'

const COMMAND = new URL('../../../src/cli/simulator-command.ts', import.meta.url).href

/** Runs the command in a process of its own. */
function run(options: object) {
  const program = `process.exitCode = await (await import(${JSON.stringify(COMMAND)})).simulatorCommand(${JSON.stringify(options)})`
  return spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'pipe'] })
}

test('it says where it listens, answers there, and ends with 0 when told to', async () => {
  const child = run({ port: '0', seed: '3', defaults: 'output=4' })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const url = /http:\/\/\S+(?=,)/.exec(line)?.[0]
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer k' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }] }),
  })
  expect(await response.json()).toMatchObject({ usage: { completion_tokens: 4 } })
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])
})

test.each([
  ['a port that is none', { port: 'http' }, /--port/],
  ['a port out of range', { port: 70_000 }, /--port/],
  ['a seed that is none', { port: 0, seed: '-1' }, /--seed/],
  ['a control that is none', { port: 0, defaults: 'speed=1' }, /speed/],
])('%s is wrong usage', async (_, options, message) => {
  const child = run(options)
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  expect(await once(child, 'close')).toEqual([2, null])
  expect(said).toMatch(message)
})

test('a port that is taken is a failure, named', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const address = other.address()
  const child = run({ port: typeof address === 'object' ? address?.port : 0 })
  expect(await once(child, 'close')).toEqual([1, null])
  other.close()
})
