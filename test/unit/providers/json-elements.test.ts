import { describe, expect, test } from 'vitest'
import { JsonLines } from '../../../src/meter/json-lines.ts'
import { JsonElements } from '../../../src/providers/json-elements.ts'

function elementsOf(text: string, paths: readonly string[], cut: number): [string, unknown][] {
  const found: [string, unknown][] = []
  let bytes: Buffer[] = []
  let path = ''
  const elements = new JsonElements(paths, {
    onStart: (of) => {
      path = of
      bytes = []
    },
    onBytes: (piece) => bytes.push(Buffer.from(piece)),
    onEnd: () => found.push([path, JSON.parse(Buffer.concat(bytes).toString())]),
  })
  const whole = Buffer.from(text)
  for (let at = 0; at < whole.length; at += cut) elements.push(whole.subarray(at, at + cut))
  return found
}

const NESTED = {
  a: 1,
  r: { s: { list: [{ x: [1, 2, { y: '"]},{"' }] }, 'text, with ] and }', 3, null, [], {}], other: [9] } },
}

describe('elements of arrays come out whole, wherever the bytes are cut', () => {
  test.each([
    ['of the top level', { data: [1, 'two', { three: 3 }], more: [4] }, ['data'], [1, 'two', { three: 3 }]],
    ['deep inside', NESTED, ['r.s.list'], NESTED.r.s.list],
    ['of none', { data: [] }, ['data'], []],
    ['not of one with the same name elsewhere', { x: { data: [1] }, data: [2] }, ['data'], [2]],
    ['not of one inside an element', { data: [{ data: [1, 2] }] }, ['data'], [{ data: [1, 2] }]],
    ['not of an array in an array', { data: [[1, 2], [3]] }, ['data'], [[1, 2], [3]]],
    ['beside a name like it', { '"data': [1], data: [2], 'data"': [3] }, ['data'], [2]],
  ])('%s', (_name, value, paths, expected) => {
    for (const text of [JSON.stringify(value), JSON.stringify(value, null, 2)])
      for (let cut = 1; cut <= text.length; cut++)
        expect(elementsOf(text, paths, cut).map(([, element]) => element)).toEqual(expected)
  })
  test('of several arrays each is told apart', () => {
    expect(elementsOf('{"a":{"l":[1]},"b":[2,3]}', ['a.l', 'b'], 3)).toEqual([
      ['a.l', 1],
      ['b', 2],
      ['b', 3],
    ])
  })
  test('a name in escapes is the same name', () => {
    expect(elementsOf('{"d\\u0061ta":[1]}', ['data'], 2)).toEqual([['data', 1]])
  })
  test.each(['{"data":[1,2', '[]', '', '}}}', '{"data":]', `${'['.repeat(5000)}`, '{"data":[,,]}', '"data"'])(
    'what is no such JSON does no harm: %s',
    (text) => {
      for (let cut = 1; cut < 5; cut++) elementsOf(text.slice(0, 2000), ['data'], cut)
    },
  )
})

describe('lines', () => {
  const linesOf = (text: string, cut: number, bytesMax = 20) => {
    const got: string[] = []
    const lines = new JsonLines(
      { onLine: (line) => got.push(line.toString()), onTooLong: () => got.push('TOO LONG') },
      bytesMax,
    )
    const whole = Buffer.from(text)
    for (let at = 0; at < whole.length; at += cut) lines.push(whole.subarray(at, at + cut))
    lines.end()
    return got
  }
  test.each([
    ['{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']],
    ['{"a":1}\r\n\r\n \n{"b":2}', ['{"a":1}\r', '{"b":2}']],
    [`short\n${'x'.repeat(21)}\nshort\n`, ['short', 'TOO LONG', 'short']],
    ['', []],
  ])('%j', (text, expected) => {
    for (let cut = 1; cut <= text.length + 1; cut++) expect(linesOf(text, cut)).toEqual(expected)
  })
})
