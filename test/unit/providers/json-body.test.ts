import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readJsonBody } from '../../../src/providers/json-body.ts'
import { InvalidCall } from '../../../src/providers/provider.ts'

const SUITE = resolve(import.meta.dirname, '../../../../shared/corpora/jsontestsuite/test_parsing')
const SEED = 20261123

function read(text: string | Buffer, depth = 128): ReturnType<typeof readJsonBody> {
  return readJsonBody(Buffer.from(text), depth)
}

describe('a body with two readings is refused', () => {
  test.each([
    ['a member twice', '{"model":"a","model":"b"}', 'model'],
    ['a member twice by an escape', '{"model":"a","mod\\u0065l":"b"}', 'model'],
    ['a member twice by letter case', '{"model":"a","Model":"b"}', 'Model'],
    ['a member twice by letter case, the plain one last', '{"MODEL":"a","model":"b"}', 'model'],
    ['a member twice by a folded sign', '{"stream":true,"\\u017ftream":false}', 'stream'],
    ['any member twice, not only decisive ones', '{"metadata":1,"metadata":2}', 'metadata'],
  ])('%s', (_name, text, field) => {
    expect(() => read(text)).toThrow(InvalidCall)
    expect(() => read(text)).toThrow(/twice/)
    try {
      read(text)
    } catch (error) {
      expect((error as InvalidCall).field?.toLowerCase()).toBe(field.toLowerCase())
    }
  })
})

describe('what is no JSON object is refused', () => {
  test.each([
    ['nothing', ''],
    ['blanks', ' \n'],
    ['an array', '[{"model":"a"}]'],
    ['a string', '"model"'],
    ['a byte order mark', '\ufeff{"model":"a"}'],
    ['a second value behind it', '{"model":"a"}{"model":"b"}'],
    ['a trailing comma', '{"model":"a",}'],
    ['a comment', '{"model":"a"/**/}'],
    ['single quotes', "{'model':'a'}"],
    ['NaN', '{"n":NaN}'],
    ['an unfinished string', '{"model":"a'],
    ['an unfinished escape', '{"model":"a\\'],
    ['an unfinished object', '{"model":"a"'],
    ['an unfinished array', '{"messages":[{"a":"b"}'],
    ['brackets that do not fit', '{"messages":[}]'],
    ['a raw line feed in a string', '{"model":"a\nb"}'],
    ['a missing value', '{"model":}'],
    ['a missing colon', '{"model" "a"}'],
    ['a bad escape in a name', '{"mo\\xdel":"a"}'],
    ['a leading zero', '{"n":01}'],
  ])('%s', (_name, text) => {
    expect(() => read(text)).toThrow(InvalidCall)
  })

  test('bytes that are not UTF-8', () => {
    expect(() => read(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toThrow(/UTF-8/)
    expect(() => read(Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d]))).toThrow(/UTF-8/)
  })

  test('the error never quotes the body', () => {
    expect(() => read('{"prompt": secret-prompt}')).toThrow(/^(?!.*secret)/)
  })
})

test('nesting is bounded, before anything is built of it', () => {
  const nested = (levels: number): string => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
  expect(() => read(nested(128))).not.toThrow()
  expect(() => read(nested(129))).toThrow(/deeper than 128/)
  expect(() => read(nested(10_000_000))).toThrow(/deeper than 128/)
})

test('spans are those of the members, whatever stands between them', () => {
  const text = ' {\t"a" : "x\\"}{é" ,\n"b\\u0062":[1,{"c":"]"}], "d":-1e5 ,"e":null}\r\n'
  const body = read(text)
  const raw = Buffer.from(text)
  const values = Object.fromEntries(
    [...body.members].map(([name, span]) => [name, raw.toString('utf8', span.valueStart, span.valueEnd)]),
  )
  expect(values).toEqual({ a: '"x\\"}{é"', bb: '[1,{"c":"]"}]', d: '-1e5', e: 'null' })
  expect(raw.toString('utf8', 0, body.insertAt)).toBe(' {')
})

test(`spans of random objects give back their values (seed ${SEED})`, () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 8 }),
      fc.integer({ min: 0, max: 3 }),
      (object, indent) => {
        const folded = Object.keys(object).map((name) => name.toUpperCase().toLowerCase())
        fc.pre(new Set(folded).size === folded.length)
        const raw = Buffer.from(JSON.stringify(object, null, indent))
        const body = readJsonBody(raw, 1000)
        expect(JSON.stringify(body.value)).toBe(JSON.stringify(object))
        for (const [name, span] of body.members)
          expect(JSON.stringify(JSON.parse(raw.toString('utf8', span.valueStart, span.valueEnd)))).toBe(
            JSON.stringify(object[name]),
          )
        expect(body.members.size).toBe(Object.keys(object).length)
      },
    ),
    { seed: SEED, numRuns: 500 },
  )
})

test(`random bytes are refused or read, never worse (seed ${SEED})`, () => {
  const soup = fc
    .array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', 'a', '1', ' ', '\\u0061', 'null', 'é'), {
      maxLength: 40,
    })
    .map((parts) => `{${parts.join('')}`)
  fc.assert(
    fc.property(soup, (text) => {
      try {
        const body = read(text)
        expect(body.value).toEqual(JSON.parse(text))
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidCall)
      }
    }),
    { seed: SEED, numRuns: 5000 },
  )
})

test.skipIf(!existsSync(SUITE))('every text of JSONTestSuite is taken as JSON.parse takes it', () => {
  let taken = 0
  for (const name of readdirSync(SUITE)) {
    const value = Buffer.concat([Buffer.from('{"a":'), readFileSync(join(SUITE, name)), Buffer.from('}')])
    let parses = true
    try {
      JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value))
    } catch {
      parses = false
    }
    let reads = true
    try {
      readJsonBody(value, 1000)
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidCall)
      reads = false
    }
    expect([name, reads]).toEqual([name, parses])
    if (name.startsWith('y_')) taken++
  }
  expect(taken).toBeGreaterThan(90)
})
