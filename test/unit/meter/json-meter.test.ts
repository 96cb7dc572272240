import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { JsonMeter } from '../../../src/meter/json-meter.ts'

const SEED = 20261123

function read(
  bytes: Buffer,
  names: readonly string[],
  step = bytes.length || 1,
): { members: Readonly<Record<string, unknown>>; unread: boolean } {
  const meter = new JsonMeter(names)
  for (let at = 0; at < bytes.length; at += step) meter.push(bytes.subarray(at, at + step))
  const members = meter.end()
  return { members, unread: meter.unread }
}

describe('members of the top level are found, and only those', () => {
  test.each([
    ['{"usage":{"a":1}}', { usage: { a: 1 } }],
    [' {"x":{"usage":2},"usage" : 3 } ', { usage: 3 }],
    ['{"x":"\\"usage\\":1","usage":null}', { usage: null }],
    ['{"x":"a\\\\","usage":[1,"]",{"}":2}]}', { usage: [1, ']', { '}': 2 }] }],
    ['{"us\\u0061ge":"é☕"}', { usage: 'é☕' }],
    ['{"usage":1,"usage":2}', { usage: 2 }],
    ['\ufeff{"usage":1}', { usage: 1 }],
    ['{"x":[{"usage":1}]}', {}],
    ['{}', {}],
    ['[{"usage":1}]', {}],
    ['<html>{"usage":1}</html>', {}],
    ['"usage"', {}],
    ['', {}],
  ])('%s', (text, expected) => {
    const bytes = Buffer.from(text)
    for (let step = 1; step <= bytes.length + 1; step++)
      expect(read(bytes, ['usage'], step)).toEqual({ members: expected, unread: false })
  })

  test.each([['{"usage":1'], ['{"usage":tru}'], ['{"usage":{"a":1}'], ['{usage:1}'], ['{"usage" 1}']])(
    'what cannot be read says so: %s',
    (text) => {
      expect(read(Buffer.from(text), ['usage']).unread).toBe(true)
    },
  )
})

describe('a path takes members of members, and of each element of an array', () => {
  test.each([
    ['{"a":{"b":1,"c":2},"b":3}', ['a.b'], { 'a.b': 1 }],
    ['{"a":{"b":{"c":[1]}},"id":"x"}', ['a.b.c', 'id'], { 'a.b.c': [1], id: 'x' }],
    ['{"a":[{"b":1},{"c":2},{"b":{"d":3}},4,"b"]}', ['a.*.b'], { 'a.*.b': [1, { d: 3 }] }],
    ['{"a":[{"b":1,"b":2},{"b":3}]}', ['a.*.b'], { 'a.*.b': [2, 3] }],
    ['{"a":[{"b":1,"c":[{"d":1},{"d":2}],"b":2}]}', ['a.*.b', 'a.*.c.*.d'], { 'a.*.b': [2], 'a.*.c.*.d': [1, 2] }],
    ['{"a":[1,[2],{"x":"]"}]}', ['a.*'], { 'a.*': [1, [2], { x: ']' }] }],
    ['{"a":[[{"b":1}],[{"b":2}]]}', ['a.*.*.b'], { 'a.*.*.b': [1, 2] }],
    [' [ {"d":{"n":5}} , {"d":{"n":6}} ] ', ['*.d.n'], { '*.d.n': [5, 6] }],
    ['{"d":{"n":5}}', ['*.d.n', 'd.n'], { 'd.n': 5 }],
    ['{"a":{"b":1}}', ['a.*.b'], {}],
    ['{"a":[{"b":1}]}', ['a.b'], {}],
    ['{"a":"b","a.b":1}', ['a.b'], {}],
    ['{"a":[]}', ['a.*.b'], {}],
  ] as const)('%s %s', (text, paths, expected) => {
    const bytes = Buffer.from(text)
    for (let step = 1; step <= bytes.length + 1; step++)
      expect(read(bytes, paths, step)).toEqual({ members: expected, unread: false })
  })

  test.each([['{"a":[{"b":1}'], ['{"a":[}]}'], ['{"a":[{]}'], ['{"a":[1}'], ['{"a":[{"b":]}]}'], ['{"a":[{"b"}]}']])(
    'what cannot be read says so: %s',
    (text) => {
      expect(read(Buffer.from(text), ['a.*.b', 'c.d']).unread).toBe(true)
    },
  )

  test('the large values beside them are not kept, and the list is bounded', () => {
    const vector = Array.from({ length: 700 }, (_, i) => i / 7)
    const prediction = JSON.stringify({ embeddings: { values: vector, statistics: { token_count: 7 } } })
    const meter = new JsonMeter(['predictions.*.embeddings.statistics'])
    meter.push(Buffer.from('{"predictions":['))
    for (let i = 0; i < 2000; i++) meter.push(Buffer.from(`${i ? ',' : ''}${prediction}`))
    meter.push(Buffer.from(']}'))
    const found = meter.end()['predictions.*.embeddings.statistics'] as readonly unknown[]
    expect(found).toHaveLength(2000)
    expect(found[1999]).toEqual({ token_count: 7 })
    expect(meter.unread).toBe(false)

    const many = new JsonMeter(['a.*.b'])
    many.push(Buffer.from('{"a":['))
    for (let i = 0; i < 300; i++) many.push(Buffer.from(`${i ? ',' : ''}{"b":"${'x'.repeat(9998)}"}`))
    many.push(Buffer.from(']}'))
    expect(many.end()['a.*.b']).toHaveLength(104)
    expect(many.unread).toBe(true)
  })

  test('elements are counted whatever their size, and none is kept', () => {
    const image = { b64_json: 'A'.repeat(400 * 1024), nested: [1, [2, 3]] }
    const text = JSON.stringify({ data: [image, 'x', [1, 2], null], usage: { a: 1 }, images: [], other: [1] })
    for (const step of [1, 7, 4096]) {
      const { members, unread } = read(Buffer.from(text), ['usage', 'data.#', 'images.#', 'more.#'], step)
      expect(members).toEqual({ 'data.#': 4, 'images.#': 0, usage: { a: 1 } })
      expect(unread).toBe(false)
    }
    const both = read(Buffer.from('{"data":[{"id":"a"},{}]}'), ['data.#', 'data.*.id'], 3)
    expect(both.members).toEqual({ 'data.#': 2, 'data.*.id': ['a'] })
    expect(read(Buffer.from('{"data":{"a":1}}'), ['data.#'], 3).members).toEqual({})
  })

  test('a path that is the beginning of another is a mistake of ours', () => {
    expect(() => new JsonMeter(['a', 'a.b'])).toThrow('part of')
    expect(() => new JsonMeter(['a.*.b', 'a'])).toThrow('beginning of')
  })
})

test('a member over 256 KiB is left out, and the ones behind it are found', () => {
  const text = JSON.stringify({ output: 'x'.repeat(300 * 1024), big: 'y'.repeat(200 * 1024), usage: { a: 1 } })
  const { members, unread } = read(Buffer.from(text), ['output', 'big', 'usage'], 1000)
  expect(members).toEqual({ big: 'y'.repeat(200 * 1024), usage: { a: 1 } })
  expect(unread).toBe(true)
})

test(`random objects give back their members, however they are cut (seed ${SEED})`, () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('id', 'model', 'usage', 'output', 'x', 'ü', 'a"b'), fc.jsonValue()),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 2 }),
      (object, step, indent) => {
        const names = ['id', 'usage', 'ü', 'a"b']
        const expected = Object.fromEntries(Object.entries(object).filter(([name]) => names.includes(name)))
        const result = read(Buffer.from(JSON.stringify(object, null, indent)), names, step)
        expect(JSON.stringify(result.members, names.toSorted())).toBe(
          JSON.stringify(JSON.parse(JSON.stringify(expected)), names.toSorted()),
        )
        expect(Object.keys(result.members).toSorted()).toEqual(Object.keys(expected).toSorted())
        expect(result.unread).toBe(false)
      },
    ),
    { seed: SEED, numRuns: 1000 },
  )
})

test(`random bytes never throw (seed ${SEED})`, () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 9 }), (bytes, step) => {
      read(Buffer.concat([Buffer.from('{"usage":'), bytes]), ['usage'], step)
    }),
    { seed: SEED, numRuns: 2000 },
  )
})
