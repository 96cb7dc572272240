import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { YamlFile } from '../../../src/config/read-yaml.ts'
import { parseTexts, problemLines } from './config-texts.ts'

const problemsOf = (text: string) => new YamlFile('x.yaml', text, {}).problems

test.each<[name: string, text: string, line: number, column: number, message: string]>([
  ['an alias', 'a: &x 1\nb: *x\n', 1, 7, 'anchors (&name) are not taken; write the value out where needed'],
  ['an alias of nothing', 'b: *x\n', 1, 4, 'aliases (*name) are not taken; write the value out'],
  ['a merge key', 'a:\n  <<: { b: 1 }\n', 2, 3, 'merge keys (<<) are not taken; write the fields out'],
  ['a tag', 'a: !!str 1\n', 1, 10, 'tags (!name) are not taken; leave it out'],
  ['a tag of their own', 'a: !exec ls\n', 1, 10, 'tags (!name) are not taken; leave it out'],
  [
    'a YAML directive',
    '%YAML 1.1\n---\na: 1\n',
    1,
    1,
    'directives such as %YAML and %TAG are not taken; leave them out',
  ],
  ['a second document', 'a: 1\n---\nb: 1\n', 2, 1, 'a second document begins here; a file has one'],
  ['the prototype', 'a:\n  __proto__: { b: 1 }\n', 2, 3, '"__proto__" is a reserved word; take another name'],
  ['a key that is a list', '[a]: 1\n', 1, 1, 'a key has to be a plain word or a quoted string'],
  ['a field twice', 'a: 1\nb: 2\na: 3\n', 3, 1, 'a: duplicate field "a"; it stands above already'],
  ['a field twice, once quoted', 'a: 1\n"a": 3\n', 2, 1, 'a: duplicate field "a"; it stands above already'],
  ['a tab', 'a:\n\tb: 1\n', 2, 1, 'tabs do not indent; use blanks'],
  ['an open quote', 'a: "b\n', 2, 1, 'not valid YAML: a quote is not closed'],
  ['forty levels', `${'['.repeat(40)}${']'.repeat(40)}`, 1, 34, 'nested too deeply; at most 32 levels'],
])('%s is refused at its place', (_, text, line, column, message) => {
  expect(problemsOf(text)[0]).toMatchObject({ line, column, message })
})

test('brackets without end are refused before they end the stack', () => {
  expect(problemsOf('['.repeat(100_000)).map((problem) => problem.message)).toEqual([
    'nested too deeply; at most 32 levels',
  ])
})

test('places are those of the file, with CRLF, a byte order mark and characters beyond the first plane', () => {
  const file = new YamlFile('x.yaml', '\ufeffa: 1\r\n"😀": [x, {y: 2}]\r\n', {})
  expect(file.value).toEqual({ a: 1, '😀': ['x', { y: 2 }] })
  expect(file.problemAt(['😀', 1, 'y'], 'value', '')).toMatchObject({ line: 2, column: 15 })
})

test('sixty thousand accounts take ten times as long as six thousand, and the duplicate among them is found', () => {
  const linesOf = (count: number) => {
    const accounts = Array.from({ length: count }, (_, i) => `  a${i}: { plan: pro }\n`).join('')
    const started = performance.now()
    const lines = problemLines({ entitlements: `plans: { pro: {} }\naccounts:\n${accounts}  a7: { plan: pro }\n` })
    return { lines, ms: performance.now() - started }
  }
  linesOf(6000)
  const few = linesOf(6000)
  const many = linesOf(60_000)
  expect(many.lines).toEqual(['e.yaml:60003:3: accounts.a7: duplicate account "a7"; it stands above already'])
  // Comparing each key with all before it takes a hundred times as long: 51 s.
  expect(many.ms / few.ms).toBeLessThan(50)
}, 180_000)

const corpus = new URL('../../../../shared/corpora/yaml-test-suite/src/', import.meta.url)

const absent = !existsSync(corpus)
if (absent) console.warn('skipped: the YAML test suite is not at ../shared/corpora')

test.skipIf(absent)('every document of the YAML test suite is read or refused, with a place, and never thrown', () => {
  let read = 0
  let refused = 0
  for (const text of corpusTexts()) {
    const file = new YamlFile('x.yaml', text, {})
    if (file.problems.length === 0) read++
    else refused++
    const lines = text.split(/\r\n|\r|\n/).length
    for (const problem of file.problems) {
      expect(problem.line).toBeGreaterThanOrEqual(1)
      expect(problem.line).toBeLessThanOrEqual(lines + 1)
      expect(problem.column).toBeGreaterThanOrEqual(1)
    }
    // As a config each is refused, but for an empty map: none has the fields of one.
    const isEmptyMap = file.problems.length === 0 && JSON.stringify(file.value) === '{}'
    expect(parseTexts({ tollgate: text }).snapshot !== undefined).toBe(isEmptyMap)
  }
  expect(read).toBeGreaterThan(50)
  expect(refused).toBeGreaterThan(80)
})

/** The suite writes blanks, tabs and missing line ends with visible characters. */
function corpusTexts(): string[] {
  return readdirSync(corpus).flatMap((name) => {
    const cases = parse(readFileSync(new URL(name, corpus), 'utf8')) as readonly { yaml?: string }[]
    return cases.flatMap(({ yaml }) =>
      yaml === undefined
        ? []
        : [
            yaml
              .replaceAll('␣', ' ')
              .replaceAll(/—*»/g, '\t')
              .replaceAll('←', '\r')
              .replaceAll('⇔', '\ufeff')
              .replaceAll('↵', '')
              .replace(/∎\n$/, ''),
          ],
    )
  })
}
