/**
 * What is checked before a gateway serves money from a Redis: is it a server that can keep it, is it the one this
 * gateway knows, and are amounts in it of the size the config says. Each refusal is one line with its remedy.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RedisClient } from './client.ts'

/** The Redis is there but must not be used as it is. Retrying cannot help; the message says what can. */
export class RedisRefused extends Error {
  override readonly name = 'RedisRefused'
}

/** Instance id of this Redis: written at the first start, so that an emptied or exchanged server shows. */
const INSTANCE_KEY = 'tg:instance'
/** Hash of unit → decimals that its amounts are kept with. */
const UNITS_KEY = 'tg:units'

const INSTANCE_FILE = 'instance-id'

type Caller = Pick<RedisClient, 'call'>

/** `INFO` text as fields. */
function readInfo(text: unknown): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const line of String(text).split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return fields
}

function atLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number)
  return a > major || (a === major && b >= minor)
}

/**
 * Throws RedisRefused for a version or a build that cannot run the scripts, and for an eviction policy that could
 * delete a wallet. Redis >= 7.0, Valkey >= 7.2, of 64 bits. Read from INFO: managed servers refuse CONFIG.
 */
export async function checkServer(
  redis: Caller,
): Promise<{ readonly flavour: 'redis' | 'valkey'; readonly version: string }> {
  const server = readInfo(await redis.call('INFO', 'server'))
  const valkey = server.get('valkey_version')
  const version = valkey ?? server.get('redis_version') ?? '0'
  if (valkey !== undefined ? !atLeast(valkey, 7, 2) : !atLeast(version, 7, 0)) {
    throw new RedisRefused(
      `${valkey === undefined ? 'Redis' : 'Valkey'} ${version} is too old: use Redis 7.0 or later, or Valkey 7.2 or later`,
    )
  }
  const bits = server.get('arch_bits') ?? '64'
  if (bits !== '64') {
    throw new RedisRefused(
      `Redis was built for ${bits} bits, where its Lua cannot print every amount: use a 64-bit build`,
    )
  }
  await checkEviction(redis)
  return { flavour: valkey === undefined ? 'redis' : 'valkey', version }
}

/** Throws RedisRefused under any policy but noeviction. Worth asking again now and then: it can be changed at run time. */
export async function checkEviction(redis: Caller): Promise<void> {
  const policy = readInfo(await redis.call('INFO', 'memory')).get('maxmemory_policy')
  if (policy === undefined || policy === 'noeviction') return
  throw new RedisRefused(
    `Redis may delete wallets: maxmemory-policy is ${policy}; set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)`,
  )
}

function readKnownInstance(dataDir: string): string | undefined {
  try {
    return readFileSync(join(dataDir, INSTANCE_FILE), 'utf8').trim() || undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function rememberInstance(dataDir: string, id: string): void {
  mkdirSync(dataDir, { recursive: true })
  // Renamed into place: a crash must not leave an empty file, which would read as "knows none".
  const temporary = join(dataDir, `${INSTANCE_FILE}.${process.pid}`)
  writeFileSync(temporary, `${id}\n`)
  renameSync(temporary, join(dataDir, INSTANCE_FILE))
}

/** Sets the marker unless there is one, and answers the one that is there: two gateways that start at once agree. */
async function placeMarker(redis: Caller, id: string): Promise<string> {
  await redis.call('SET', INSTANCE_KEY, id, 'NX')
  return String(await redis.call('GET', INSTANCE_KEY))
}

/**
 * An empty Redis is not a new customer. Answers the instance id, written in both places at the first start; throws
 * RedisRefused where Redis has no marker but `data_dir` knows one, has another, or must have one (`expectExisting`).
 */
export async function checkInstance(
  redis: Caller,
  options: { readonly dataDir: string; readonly expectExisting: boolean },
): Promise<string> {
  const known = readKnownInstance(options.dataDir)
  const found = await redis.call('GET', INSTANCE_KEY)
  if (typeof found === 'string') {
    if (known !== undefined && known !== found) {
      throw new RedisRefused(
        `this is not the Redis that data_dir belongs to (instance ${found}, expected ${known}): correct redis.url or data_dir, or run "tollgate adopt-redis" if it is meant`,
      )
    }
    if (known === undefined) rememberInstance(options.dataDir, found)
    return found
  }
  if (known !== undefined) {
    throw new RedisRefused(
      `Redis has lost its instance marker (${known}): it may be empty, and wallets with it; restore it, or run "tollgate adopt-redis" if an empty Redis is meant`,
    )
  }
  if (options.expectExisting) {
    throw new RedisRefused(
      'Redis has no instance marker and redis.expect_existing is true: correct redis.url, or run "tollgate adopt-redis" if an empty Redis is meant',
    )
  }
  const placed = await placeMarker(redis, randomUUID())
  rememberInstance(options.dataDir, placed)
  return placed
}

/**
 * Says that this Redis is meant (`tollgate adopt-redis`). An empty one gets back the id that `data_dir` knows, so
 * that the other gateways of the fleet go on too; one with a marker is taken as it is.
 */
export async function adoptInstance(
  redis: Caller,
  dataDir: string,
): Promise<{ readonly id: string; readonly was: string | undefined; readonly empty: boolean }> {
  const was = readKnownInstance(dataDir)
  const empty = (await redis.call('GET', INSTANCE_KEY)) === null
  const id = await placeMarker(redis, was ?? randomUUID())
  rememberInstance(dataDir, id)
  return { id, was, empty }
}

/**
 * Writes down the decimals of units that Redis does not know yet, and compares the others. Throws RedisRefused where
 * one differs: every amount of that unit would be read wrong by powers of ten. Nothing is written then.
 */
export async function checkUnits(redis: Caller, scales: ReadonlyMap<string, number>): Promise<void> {
  const wrong: string[] = []
  const fresh: [string, number][] = []
  for (const [unit, scale] of scales) {
    const kept = await redis.call('HGET', UNITS_KEY, unit)
    if (kept === null) fresh.push([unit, scale])
    else if (kept !== String(scale)) {
      wrong.push(
        `unit ${unit} is kept with ${kept} decimals in Redis but configured with ${scale}: set units.${unit}.scale to ${kept} (if no wallet has ${unit} yet: redis-cli HDEL ${UNITS_KEY} ${unit})`,
      )
    }
  }
  if (wrong.length > 0) throw new RedisRefused(wrong.join('; '))
  for (const [unit, scale] of fresh) await redis.call('HSETNX', UNITS_KEY, unit, scale)
}

/** All of the above in order, as a gateway does at start. `embeddedJs`: js-redis-server knows none of it but units. */
export async function guardRedis(
  redis: Caller,
  options: {
    readonly dataDir: string
    readonly expectExisting: boolean
    readonly scales: ReadonlyMap<string, number>
    readonly embeddedJs: boolean
  },
): Promise<{ readonly instanceId: string | undefined }> {
  let instanceId: string | undefined
  if (!options.embeddedJs) {
    await checkServer(redis)
    instanceId = await checkInstance(redis, options)
  }
  await checkUnits(redis, options.scales)
  return { instanceId }
}

/** Id of the server process: another one after a restart or a failover. Undefined where the server tells none. */
export async function readRunId(redis: Caller): Promise<string | undefined> {
  return readInfo(await redis.call('INFO', 'server')).get('run_id')
}
