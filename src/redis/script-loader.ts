import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, normalize } from 'node:path'

/** A script as Redis gets it: includes expanded, header checked against the body. */
export interface Script {
  readonly name: string
  readonly source: string
  readonly sha1: string
  readonly keyCount: number
  readonly argumentCount: number
  /** `file:line` of a line of `source`, for errors that Redis reports. */
  locate(line: number): string
}

export interface LoadOptions {
  /** Leaves out the `#!lua` line, for servers that do not know it. */
  readonly stripShebang?: boolean
  /** `argument`: the last argument of each call is the time in ms, in place of TIME. For tests. */
  readonly clock?: 'redis' | 'argument'
  /** Of the server's C `long`. Default 64: then whole numbers are printed as such, by the same digits at a third of the cost. */
  readonly longBits?: 32 | 64
  /** Texts in place of those on disk, by file. For tests. */
  readonly texts?: ReadonlyMap<string, string>
}

/** A script that does not keep the form; the message begins with `file:line`. */
export class ScriptError extends Error {
  readonly file: string
  readonly line: number
  constructor(file: string, line: number, problem: string) {
    super(`${file}:${line}: ${problem}`)
    this.name = 'ScriptError'
    this.file = file
    this.line = line
  }
}

interface Line {
  readonly file: string
  readonly number: number
  readonly text: string
}
interface Header {
  readonly keys: ReadonlyMap<number, Line>
  readonly arguments: ReadonlyMap<number, Line>
  /** The index of the line after the header. */
  readonly end: number
}

const FLAGS = ['no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys']
// Every Lua prints a whole number below 2^53 by it, but as a float, which costs 0.8 µs; `%d` goes through a C long.
const FLOAT_FORMAT = "'%.0f'"
const LONG_FORMAT = "'%d'"
const TIME_CALL = "redis.call('TIME')"
const TIME_ARGUMENT = '{ math.floor(ARGV[#ARGV] / 1000), ARGV[#ARGV] % 1000 * 1000 }'

/** Every `*.lua` of the directory (`lib/` holds what they include), by name without the ending. Throws ScriptError. */
export function loadScripts(directory: string, options: LoadOptions = {}): ReadonlyMap<string, Script> {
  const scripts = new Map<string, Script>()
  for (const file of readdirSync(directory).sort()) {
    if (file.endsWith('.lua')) scripts.set(file.slice(0, -4), loadScript(directory, file, options))
  }
  return scripts
}

/** One script of the directory. Throws ScriptError. */
export function loadScript(directory: string, file: string, options: LoadOptions = {}): Script {
  const own = readLines(directory, file, options)
  checkShebang(own)
  const header = readHeader(own)
  const lines = expand(directory, own, [file], new Set([file]), options)
  checkUse(lines, header, file)
  const texts = lines.map((line) => line.text)
  if (options.clock === 'argument') replaceIn(texts, TIME_CALL, TIME_ARGUMENT)
  if (options.longBits !== 32) replaceIn(texts, FLOAT_FORMAT, LONG_FORMAT)
  // An empty line in its place keeps the line numbers.
  if (options.stripShebang) texts[0] = ''
  const source = texts.join('\n')
  return {
    name: file.slice(0, -4),
    source,
    sha1: createHash('sha1').update(source).digest('hex'),
    keyCount: header.keys.size,
    argumentCount: header.arguments.size,
    locate: (number) => {
      const line = lines[number - 1]
      return line ? `${line.file}:${line.number}` : `${file}:?`
    },
  }
}

function readLines(directory: string, file: string, options: LoadOptions, from?: Line): Line[] {
  let text: string
  try {
    text = options.texts?.get(file) ?? readFileSync(join(directory, file), 'utf8')
  } catch {
    throw new ScriptError(from?.file ?? file, from?.number ?? 1, `cannot read ${file}`)
  }
  const texts = text.replace(/\n$/, '').split('\n')
  return texts.map((line, index) => ({ file, number: index + 1, text: line }))
}

function checkShebang([first]: readonly Line[]): void {
  const match = /^#!lua(?: flags=(\S+))?$/.exec(first?.text ?? '')
  if (!first || !match) throw new ScriptError(first?.file ?? '?', 1, 'the first line is not "#!lua" or "#!lua flags=…"')
  for (const flag of match[1]?.split(',') ?? []) {
    if (!FLAGS.includes(flag)) throw new ScriptError(first.file, 1, `unknown flag "${flag}"`)
  }
}

function readHeader(lines: readonly Line[]): Header {
  const file = lines[0]?.file ?? '?'
  if (lines[1]?.text !== '--[[') throw new ScriptError(file, 2, 'no header: the second line is not "--[["')
  const end = lines.findIndex((line) => line.text === ']]')
  if (end < 0) throw new ScriptError(file, 2, 'the header has no "]]" on a line of its own')
  const header = lines.slice(2, end)
  if ((header[0]?.text ?? '').trim() === '')
    throw new ScriptError(file, 3, 'the header does not say what the script is for')
  if (!header.some((line) => line.text.startsWith('Returns'))) {
    throw new ScriptError(file, end + 1, 'the header does not say what the script returns')
  }
  return { keys: documented(header, 'KEYS'), arguments: documented(header, 'ARGV'), end: end + 1 }
}

function documented(header: readonly Line[], table: 'KEYS' | 'ARGV'): ReadonlyMap<number, Line> {
  const found = new Map<number, Line>()
  for (const line of header) {
    const match = /^(KEYS|ARGV)\[(\d+)\]\s+(\S+)/.exec(line.text)
    if (!match || match[1] !== table) continue
    const index = Number(match[2])
    if (index !== found.size + 1) {
      throw new ScriptError(line.file, line.number, `${table}[${index}] follows ${table}[${found.size}]`)
    }
    found.set(index, line)
  }
  return found
}

/** Puts each included file in the place of its first `--! include`; `path` is how we came here. */
function expand(
  directory: string,
  lines: readonly Line[],
  path: readonly string[],
  seen: Set<string>,
  options: LoadOptions,
): Line[] {
  return lines.flatMap((line) => {
    if (!line.text.startsWith('--!')) return [line]
    const match = /^--! include (\S+\.lua)$/.exec(line.text)
    if (!match) throw new ScriptError(line.file, line.number, `unknown directive "${line.text}"`)
    const file = normalize(match[1] as string)
    if (file.startsWith('..'))
      throw new ScriptError(line.file, line.number, `${file} is outside the scripts' directory`)
    if (path.includes(file)) {
      throw new ScriptError(line.file, line.number, `include cycle: ${[...path, file].join(' -> ')}`)
    }
    if (seen.has(file)) return []
    seen.add(file)
    return expand(directory, readLines(directory, file, options, line), [...path, file], seen, options)
  })
}

/** The body must use exactly the indices that the header documents, each by a literal number. */
function checkUse(lines: readonly Line[], header: Header, file: string): void {
  const used = { KEYS: new Set<number>(), ARGV: new Set<number>() }
  codeOf(lines).forEach((code, index) => {
    const line = lines[index] as Line
    for (const match of code.matchAll(/\b(KEYS|ARGV)\b(?:\[\s*(\d+)\s*\])?/g)) {
      const table = match[1] as 'KEYS' | 'ARGV'
      if (match[2] === undefined) {
        throw new ScriptError(line.file, line.number, `${table} is used without a literal index`)
      }
      const number = Number(match[2])
      if (!(table === 'KEYS' ? header.keys : header.arguments).has(number)) {
        throw new ScriptError(line.file, line.number, `${table}[${number}] is not in the header of ${file}`)
      }
      used[table].add(number)
    }
  })
  for (const [table, list] of [['KEYS', header.keys] as const, ['ARGV', header.arguments] as const]) {
    for (const [number, line] of list) {
      if (!used[table].has(number)) throw new ScriptError(file, line.number, `${table}[${number}] is never used`)
    }
  }
}

/** The lines with comments and the insides of strings left out. */
function codeOf(lines: readonly Line[]): string[] {
  const text = lines.map((line) => (line.text.startsWith('#!') ? '' : line.text)).join('\n')
  const TOKEN = /--\[\[[\s\S]*?\]\]|--[^\n]*|\[\[[\s\S]*?\]\]|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g
  return text.replace(TOKEN, (token) => token.replace(/[^\n]/g, ' ')).split('\n')
}

function replaceIn(texts: string[], from: string, to: string): void {
  texts.forEach((text, index) => {
    texts[index] = text.replace(from, to)
  })
}
