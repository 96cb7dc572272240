/** Bodies that come slowly: a file has its own time, other bodies theirs; and a large file passes without being kept. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { TEST_KEY, writeConfig } from '../support/gateway.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { canMeasurePeak, peakGrowth } from '../support/peak-memory.ts'
import { rawSocket } from '../support/raw-client.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const MIB = 1024 * 1024
let redis: TestRedis
let server: Server
/** Hashes of the bodies that came whole. */
let whole: { readonly path: string; readonly bytes: number; readonly sha256: string }[] = []
let dir: string
let gateway: GatewayProcess

beforeAll(async () => {
  if (!redisAvailable) return
  redis = await startRedis()
  server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    void readHashed(request).then((body) => {
      if (body === undefined) return
      whole.push({ path: request.url as string, ...body })
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ id: `file-${whole.length}`, object: 'file', purpose: 'user_data' }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(async () => {
  server?.closeAllConnections()
  server?.close()
  await redis?.stop()
})
beforeEach(() => {
  whole = []
  dir = mkdtempSync(join(tmpdir(), 'tollgate-uploads-'))
})
afterEach(async () => {
  if (gateway?.child.exitCode === null) await gateway.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
})

async function readHashed(request: IncomingMessage): Promise<{ bytes: number; sha256: string } | undefined> {
  const hash = createHash('sha256')
  let bytes = 0
  try {
    for await (const chunk of request) {
      bytes += (chunk as Buffer).length
      hash.update(chunk as Buffer)
    }
  } catch {
    return undefined
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function start(limits: string): Promise<void> {
  const { port } = server.address() as AddressInfo
  const files = writeConfig(dir, 'http://127.0.0.1:1', redis.url, {
    upstreams: `  openai: { format: openai, base_url: "http://127.0.0.1:${port}/v1", api_key: k, models: ["gpt-*"], shared: true }`,
    settings: `metering: { unmetered_paths: ["POST /v1/things"] }\nlimits: { ${limits} }`,
  })
  gateway = await startGatewayProcess(files.tollgate)
}

interface SlowUpload {
  readonly socket: Socket
  readonly closed: Promise<void>
  text(): string
}

/** Announces 40 bytes and sends one each 100 ms, once the gateway waits for them. */
async function uploadSlowly(path: string): Promise<SlowUpload> {
  const socket = await rawSocket(gateway.url)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  const type = 'content-type: multipart/form-data; boundary=x'
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TEST_KEY}\r\n${type}\r\nexpect: 100-continue\r\ncontent-length: 40\r\n\r\n`,
  )
  await waitFor('the gateway to read it', () => text.includes('100 Continue'))
  let left = 40
  const timer = setInterval(() => {
    if (left-- > 0) socket.write('a')
  }, 100)
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      clearInterval(timer)
      resolve()
    })
  })
  return { socket, closed, text: () => text }
}

run.each(['/v1/files', '/v1/uploads/upload_1/parts'])(
  'a file at %s may take longer than another body',
  async (path) => {
    await start('request_timeout: 1s, file_timeout: 60s')
    const upload = await uploadSlowly(path)
    await waitFor('its answer', () => upload.text().includes('"object":"file"'))
    upload.socket.destroy()
    expect(upload.text()).toMatch(/\nHTTP\/1\.1 200 /)
    expect(whole).toMatchObject([{ path, bytes: 40 }])
  },
)

run.each([
  ['/v1/chat/completions', 'request_timeout: 1s, file_timeout: 60s', 'limits.request_timeout'],
  ['/v1/things', 'request_timeout: 1s, file_timeout: 60s', 'limits.request_timeout'],
  ['/v1/files', 'request_timeout: 60s, file_timeout: 1s', 'limits.file_timeout'],
])('a body at %s that takes longer than its time is refused, and reaches nobody whole', async (path, limits, rule) => {
  await start(limits)
  const upload = await uploadSlowly(path)
  await upload.closed
  expect(upload.text()).toMatch(/\nHTTP\/1\.1 408 /)
  expect(upload.text()).toMatch(/x-tollgate-error: upload_timeout/i)
  expect(upload.text()).toContain(`"rule":"${rule}"`)
  expect(whole).toEqual([])
})

run('a body that is late while the gateway stops is refused, and keeps it no longer than its time', async () => {
  await start('request_timeout: 1s, file_timeout: 60s, grace: 60s')
  const upload = await uploadSlowly('/v1/chat/completions')
  const startedMs = performance.now()
  expect(await gateway.kill('SIGTERM')).toBe(0)
  await upload.closed
  expect(upload.text()).toMatch(/\nHTTP\/1\.1 408 /)
  expect(performance.now() - startedMs).toBeLessThan(40_000)
})

/** A form with one file, made as it is sent. */
async function uploadFile(fileBytes: number): Promise<{ status: number; bytes: number; sha256: string }> {
  const head = '--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
  const file = '--x\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
  const parts = [Buffer.from(head + file), Buffer.from('\r\n--x--\r\n')] as const
  const block = Buffer.alloc(MIB, 'tollgate')
  const hash = createHash('sha256')
  const bytes = parts[0].length + fileBytes + parts[1].length
  async function* pieces(): AsyncGenerator<Buffer> {
    yield parts[0]
    for (let left = fileBytes; left > 0; left -= block.length) yield block.subarray(0, Math.min(left, block.length))
    yield parts[1]
  }
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const piece of pieces()) {
      hash.update(piece)
      yield piece
    }
  }
  const answer = await fetch(`${gateway.url}/v1/files`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${TEST_KEY}`,
      'content-type': 'multipart/form-data; boundary=x',
      'content-length': String(bytes),
    },
    body: hashed() as unknown as ReadableStream,
    duplex: 'half',
  } as RequestInit)
  await answer.text()
  return { status: answer.status, bytes, sha256: hash.digest('hex') }
}

test.skipIf(!redisAvailable || !canMeasurePeak)(
  'a file of 256 MiB passes byte for byte, in bounded memory',
  async () => {
    await start('file_timeout: 10m')
    // The first large one grows the heap to its working size.
    expect((await uploadFile(32 * MIB)).status).toBe(200)
    let sent: Awaited<ReturnType<typeof uploadFile>> | undefined
    const growth = await peakGrowth(gateway.child.pid as number, async () => {
      sent = await uploadFile(255 * MIB)
    })
    expect(sent?.status).toBe(200)
    expect(whole[1]).toEqual({ path: '/v1/files', bytes: sent?.bytes, sha256: sent?.sha256 })
    expect(growth).toBeLessThan(128 * MIB)
  },
)
