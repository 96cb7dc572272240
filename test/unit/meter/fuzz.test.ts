/**
 * The meters and every provider's readers on answers that nobody would send: mutations of real events in all framings,
 * cut anywhere. FUZZ_RUNS=… runs more, FUZZ_SEED=… repeats a run.
 */
import { describe, test } from 'vitest'
import type { Usage } from '../../../src/core/usage.ts'
import { errorFacts } from '../../../src/errors.ts'
import { JsonMeter } from '../../../src/meter/json-meter.ts'
import { OtherMeter } from '../../../src/meter/other-meter.ts'
import { StreamMeter } from '../../../src/meter/stream-meter.ts'
import type {
  AnswerFacts,
  AnswerHeaders,
  EventVerdict,
  StreamEvent,
  StreamReader,
} from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { type Random, randomFrom } from '../../model/random.ts'
import { SEEDS, type Seed } from './fuzz-events.ts'
import { type FuzzedOperation, fuzzedOperations } from './fuzz-operations.ts'
import { cutAtRandom, mutateBytes, mutateJson, toStream } from './mutate.ts'

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 105_000)
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const TIMEOUT_MS = 120_000 + 2 * RUNS
const ERROR = errorFacts('insufficient_funds', 'The wallet is empty.', 'req_1', { rule: 'funds' })

const operations = fuzzedOperations()

/** The reader itself, with what it threw: the meter would hide it. */
class WatchedReader implements StreamReader {
  thrown: unknown
  readonly #reader: StreamReader

  constructor(reader: StreamReader) {
    this.#reader = reader
  }

  #watch<T>(act: () => T): T {
    try {
      return act()
    } catch (error) {
      this.thrown ??= error
      throw error
    }
  }

  onEvent(event: StreamEvent): EventVerdict {
    return this.#watch(() => this.#reader.onEvent(event))
  }
  textTokens(event: StreamEvent): number {
    const tokens = this.#watch(() => this.#reader.textTokens(event))
    if (!isCount(tokens)) this.thrown ??= new Error(`textTokens: ${tokens}`)
    return tokens
  }
  onOversized(head: Buffer, tail: Buffer): void {
    this.#watch(() => this.#reader.onOversized(head, tail))
  }
  cutEnding(): Buffer {
    return this.#watch(() => this.#reader.cutEnding())
  }
  errorEvent(error: typeof ERROR): Buffer {
    return this.#watch(() => this.#reader.errorEvent(error))
  }
  get facts(): AnswerFacts {
    return this.#watch(() => this.#reader.facts)
  }
  get outputTokens(): number {
    return this.#reader.outputTokens
  }
  get finished(): boolean {
    return this.#reader.finished
  }
  get failed(): boolean {
    return this.#reader.failed
  }
  get endsByFraming(): boolean {
    return this.#reader.endsByFraming
  }
  get unreadable(): boolean {
    return this.#reader.unreadable
  }
}

interface Outcome {
  readonly bytes: Buffer
  readonly facts: string
  readonly outputTokens: number
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)
}

/** Tokens whole, pieces not negative (seconds come in fractions). */
function checkUsage(usage: Usage | undefined): void {
  if (!usage) return
  for (const [kind, count] of Object.entries(usage.tokens))
    if (count !== undefined && !isCount(count)) throw new Error(`${kind}: ${count}`)
  for (const [kind, count] of Object.entries(usage.units ?? {}))
    if (kind === 'seconds' ? !(Number.isFinite(count) && count >= 0) : !isCount(count))
      throw new Error(`${kind}: ${count}`)
  if (usage.reasoning !== undefined && !isCount(usage.reasoning)) throw new Error(`reasoning: ${usage.reasoning}`)
  for (const pass of usage.passes ?? [])
    for (const [kind, count] of Object.entries(pass.tokens))
      if (count !== undefined && !isCount(count)) throw new Error(`a pass's ${kind}: ${count}`)
}

function checkFacts(facts: AnswerFacts): void {
  checkUsage(facts.usage)
  checkUsage(facts.counted)
  // A stated cost is looked at where it is priced: there an absurd one is flagged.
  for (const text of [facts.statedCost, facts.model, facts.providerId, facts.serviceTier, facts.storedId])
    if (text !== undefined && typeof text !== 'string') throw new Error(`no text: ${JSON.stringify(text)}`)
}

function feed(
  operation: FuzzedOperation,
  framing: FuzzedOperation['framings'][number],
  pieces: readonly Buffer[],
  bound: number,
  allowance: number,
): Outcome {
  const reader = new WatchedReader(operation.metering.createStreamReader(operation.call, framing, headersOf(undefined)))
  const meter = new StreamMeter(reader, { framing, eventBytesMax: bound })
  meter.allowance = allowance
  const out: Buffer[] = []
  let given = 0
  let passed = 0
  const take = (parts: readonly Buffer[]): void => {
    for (const part of parts) {
      out.push(part)
      passed += part.length
    }
  }
  for (const piece of pieces) {
    given += piece.length
    take(meter.push(piece))
    // A reader may say that the text counts less than it did: then it blocks again at once.
    for (let times = 0; meter.blocked; times++) {
      meter.allowance = times < 3 ? meter.allowance + 100 : Number.POSITIVE_INFINITY
      take(meter.resume())
    }
    if (!meter.terminal && given - passed > bound) throw new Error(`${given - passed} bytes are held back`)
  }
  take(meter.end())
  if (meter.blocked) {
    meter.allowance = Number.POSITIVE_INFINITY
    take(meter.resume())
  }
  if (meter.terminal) take([meter.terminal])
  take(meter.takeAfterTerminal())
  checkFacts(meter.facts)
  if (!isCount(meter.outputTokens)) throw new Error(`outputTokens: ${meter.outputTokens}`)
  for (const ending of [meter.cutEnding(), meter.errorEvent(ERROR)])
    if (ending !== undefined && !Buffer.isBuffer(ending)) throw new Error('an ending is no bytes')
  if (reader.thrown !== undefined) throw reader.thrown
  return { bytes: Buffer.concat(out), facts: JSON.stringify(meter.facts), outputTokens: meter.outputTokens }
}

/** The input, or its beginning where half an event was left out; a closed last event has its end added. */
function checkBytes(input: Buffer, output: Buffer, bound: number): void {
  const same = Math.min(input.length, output.length)
  if (!input.subarray(0, same).equals(output.subarray(0, same))) throw new Error('other bytes came out')
  if (input.length - output.length > bound) throw new Error(`${input.length - output.length} bytes were lost`)
  if (output.length - input.length > 2) throw new Error(`${output.length - input.length} bytes too many`)
}

function headersOf(random: Random | undefined): AnswerHeaders {
  const value = random?.pick(['12', '-1', 'x', '1e9', '', '99999999999999999999'])
  return { get: () => value }
}

function shown(operation: FuzzedOperation, framing: string, input: Buffer, run: number): string {
  return `run ${run} of FUZZ_SEED=${SEED}, ${operation.name}, ${framing}:\n${input.toString('latin1').slice(0, 2000)}`
}

function someEvents(operation: FuzzedOperation, random: Random): Seed[] {
  const all = random.chance(0.05) ? SEEDS[random.pick([...providers.keys()])] : SEEDS[operation.format]
  return Array.from({ length: 1 + random.below(5) }, () => {
    const [name, json] = random.pick(all)
    return [random.chance(0.95) ? name : random.pick(all)[0], mutateJson(json, random)] as const
  })
}

describe(`absurd answers (FUZZ_SEED=${SEED})`, () => {
  test(
    'streams: bytes pass, nothing throws, no more than the bound is held back, counts are whole, cuts change nothing',
    () => {
      const random = randomFrom(SEED)
      for (let run = 0; run < RUNS * 0.7; run++) {
        const operation = random.pick(operations)
        const framing = random.pick(operation.framings)
        const input = mutateBytes(toStream(someEvents(operation, random), framing, random), random)
        const bound = random.pick([64, 200, 1024 * 1024])
        try {
          const pieces = cutAtRandom(input, random)
          const allowance = random.chance(0.2) ? random.below(5) : Number.POSITIVE_INFINITY
          const outcome = feed(operation, framing, pieces, bound, allowance)
          checkBytes(input, outcome.bytes, bound)
          if (bound < 1024 * 1024 || random.chance(0.7)) continue
          const again = feed(operation, framing, [input], bound, Number.POSITIVE_INFINITY)
          if (again.facts !== outcome.facts || again.outputTokens !== outcome.outputTokens)
            throw new Error(
              `cut: ${outcome.facts} ${outcome.outputTokens}, whole: ${again.facts} ${again.outputTokens}`,
            )
        } catch (error) {
          throw new Error(shown(operation, framing, input, run), { cause: error })
        }
      }
    },
    TIMEOUT_MS,
  )

  test(
    'whole answers: nothing throws, counts are whole, cuts change nothing',
    () => {
      const random = randomFrom(SEED + 1)
      for (let run = 0; run < RUNS * 0.3; run++) {
        const operation = random.pick(operations)
        const { metering, call } = operation
        const [, json] = someEvents(operation, random)[0] as Seed
        const input = mutateBytes(Buffer.from(json), random)
        try {
          const headers = headersOf(random.chance(0.3) ? random : undefined)
          const read = (pieces: readonly Buffer[]): string => {
            const meter = new JsonMeter(metering.jsonMembers)
            const other = new OtherMeter('text/plain')
            for (const piece of pieces) {
              meter.push(piece)
              other.push(piece)
            }
            const facts = metering.readJson(meter.end(), call, headers)
            checkFacts(facts)
            if (metering.readOther) checkFacts(metering.readOther(other.end(), call, headers))
            return JSON.stringify(facts)
          }
          const [cut, whole] = [read(cutAtRandom(input, random)), read([input])]
          if (cut !== whole) throw new Error(`cut: ${cut}, whole: ${whole}`)
        } catch (error) {
          throw new Error(shown(operation, 'whole', input, run), { cause: error })
        }
      }
    },
    TIMEOUT_MS,
  )

  test('jobs: no state of one throws, and its counts are whole', () => {
    const random = randomFrom(SEED + 2)
    const readers = [...providers].flatMap(([format, provider]) =>
      (provider.jobs ?? []).map((job) => [format, job] as const),
    )
    for (let run = 0; run < RUNS * 0.05 && readers.length > 0; run++) {
      const [format, job] = random.pick(readers)
      const input = mutateJson(random.pick(SEEDS[format])[1], random)
      try {
        const meter = new JsonMeter(job.members)
        meter.push(Buffer.from(input))
        const state = job.read(meter.end(), {})
        if ('facts' in state) checkFacts(state.facts as AnswerFacts)
      } catch (error) {
        throw new Error(`run ${run} of FUZZ_SEED=${SEED}, ${format} ${job.name}:\n${input}`, { cause: error })
      }
    }
  })
})
