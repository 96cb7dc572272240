/** A gateway that is killed while images are on their way: those that came are charged. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { parseAmount } from '../../src/core/money.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { creditRequest } from '../support/credit-request.ts'
import { TEST_KEY, writeConfig } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

test.skipIf(!redisAvailable)(
  'killed between two images that are billed by the image: the first is charged',
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-images-'))
    const redis = await startRedis()
    const simulator = await startSimulator({ seed: 1 })
    const files = writeConfig(dir, simulator.url, redis.url, {
      settings: 'limits: { hold_deadline: 6s, checkpoint_every: 500ms }',
      prices: `
  - { match: { model: "gpt-image-*" }, from: 2020-01-01, per_unit: { images: "1" } }
`,
    })
    const connection = new Redis(redis.url)
    const wallet = createWallet(connection)
    let gateway = await startGatewayProcess(files.tollgate)
    try {
      await wallet.grant(creditRequest(parseAmount('100'), { funding: 'external' }))
      const answer = await fetch(`${gateway.url}/v1/images/generations`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${TEST_KEY}`,
          'content-type': 'application/json',
          'x-simulate': 'no_usage,fault=hang_mid,at=2',
        },
        body: JSON.stringify({ model: 'gpt-image-1', prompt: 'a cat', n: 2, stream: true, partial_images: 1 }),
      })
      expect(answer.status).toBe(200)
      let text = ''
      const reading = (async () => {
        for await (const chunk of answer.body as ReadableStream<Uint8Array>) text += Buffer.from(chunk).toString()
      })().catch(() => undefined)
      await waitFor('the first image', () => text.includes('event: image_generation.completed'))
      expect((await wallet.balances('acme'))[0]?.heldAtoms).toBe(parseAmount('2'))
      await waitFor('the first image at the wallet', async () => {
        const [hold] = await wallet.holds('acme')
        return (hold?.checkpointAtoms ?? 0n) >= parseAmount('1')
      })
      await gateway.kill('SIGKILL')
      await reading
      gateway = await startGatewayProcess(files.tollgate)
      await waitFor('nothing held', async () => (await wallet.balances('acme'))[0]?.heldAtoms === 0n)
      expect((await wallet.balances('acme'))[0]?.postedAtoms).toBe(parseAmount('1'))
    } finally {
      await gateway.kill('SIGKILL')
      connection.disconnect()
      await simulator.close()
      await redis.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  },
)
