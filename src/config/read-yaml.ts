import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLMap,
  type YAMLParseError,
} from 'yaml'
import { byPosition, type Problem } from './problem.ts'
import { type Environment, substitute } from './substitute.ts'

/** Larger files are refused before they are parsed. */
export const FILE_BYTES_MAX = 4 * 1024 * 1024
const DEPTH_MAX = 32

/** Where a value stands, and under which key: offsets into the text. */
export interface Place {
  readonly offset: number
  readonly keyOffset: number
  /** A scalar as the file has it, before substitution: safe to show where the field holds no secret. */
  readonly written: string | undefined
  readonly children: ReadonlyMap<string, Place> | undefined
}

export type Path = readonly PropertyKey[]

/** A file's plain values with a way back to their places. */
export class YamlFile {
  readonly file: string
  readonly value: unknown
  readonly root: Place
  readonly problems: Problem[] = []
  private readonly lines: LineCounter

  constructor(file: string, text: string, environment: Environment) {
    this.file = file
    this.lines = new LineCounter()
    const tree = new TreeReader(environment, (offset, message) => this.addProblem(offset, message))
    const read = this.parse(text, tree)
    this.value = read?.value
    this.root = read?.place ?? NOWHERE
    this.problems.sort(byPosition)
  }

  /** The place of a path, or of the nearest thing above it that exists. */
  placeOf(path: Path): Place {
    let place = this.root
    for (const step of path) {
      const next = place.children?.get(String(step))
      if (!next) return place
      place = next
    }
    return place
  }

  problemAt(path: Path, at: 'key' | 'value', message: string): Problem {
    const place = this.placeOf(path)
    const { line, col } = this.lines.linePos(at === 'key' ? place.keyOffset : place.offset)
    return { file: this.file, line: Math.max(line, 1), column: Math.max(col, 1), message }
  }

  report(path: Path, at: 'key' | 'value', message: string): void {
    this.problems.push(this.problemAt(path, at, message))
  }

  private addProblem(offset: number, message: string): void {
    const { line, col } = this.lines.linePos(offset)
    this.problems.push({ file: this.file, line: Math.max(line, 1), column: Math.max(col, 1), message })
  }

  /** The first of each line: the parser tells one slip several times. */
  private addSyntaxErrors(errors: readonly YAMLParseError[]): void {
    const lines = new Set<number>()
    for (const error of errors) {
      const { line } = this.lines.linePos(error.pos[0])
      if (lines.has(line)) continue
      lines.add(line)
      this.addProblem(error.pos[0], syntaxMessage(error.code, error.message))
      if (error.code === 'RESOURCE_EXHAUSTION') return
    }
  }

  private parse(text: string, tree: TreeReader): { value: unknown; place: Place } | undefined {
    try {
      // uniqueKeys: the parser compares each key with all before it; 60,000 keys blocked for 51 s. TreeReader looks itself.
      const document = parseDocument(text, {
        version: '1.2',
        schema: 'core',
        merge: false,
        uniqueKeys: false,
        stringKeys: true,
        prettyErrors: false,
        lineCounter: this.lines,
      })
      if (document.directives?.yaml.explicit || Object.keys(document.directives?.tags ?? {}).length > 1) {
        this.addProblem(0, 'directives such as %YAML and %TAG are not taken; leave them out')
      }
      this.addSyntaxErrors(document.errors)
      if (this.problems.length > 0) return undefined
      if (document.contents === null) {
        this.addProblem(0, 'the file is empty; it needs at least "version: 1"')
        return undefined
      }
      return tree.read(document.contents as Node)
    } catch (error) {
      // The parser recurses: thousands of nested brackets end its stack.
      if (!(error instanceof RangeError)) throw error
      this.addProblem(0, `nested too deeply; at most ${DEPTH_MAX} levels`)
      return undefined
    }
  }
}

const NOWHERE: Place = { offset: 0, keyOffset: 0, written: undefined, children: undefined }

/** What is meant by the parser's codes. Its own words may quote the text, and the text may be a secret. */
const SYNTAX: Readonly<Record<string, string>> = {
  BAD_ALIAS: 'aliases (*name) are not taken; quote a text that begins with *',
  BAD_DIRECTIVE: 'directives such as %YAML and %TAG are not taken; leave them out',
  BAD_DQ_ESCAPE: 'no such escape in a double-quoted text; write \\\\ for a backslash',
  BAD_INDENT: 'wrong indentation; what belongs together begins in the same column',
  BAD_SCALAR_START: 'a text that begins with this character has to be quoted',
  BLOCK_AS_IMPLICIT_KEY:
    'a map or a list cannot begin here; put it on a line of its own, or quote a text with ": " in it',
  BLOCK_IN_FLOW: 'inside [ ] and { } lists and maps are written with [ ] and { } too',
  KEY_OVER_1024_CHARS: 'a key is longer than 1,024 characters',
  MULTILINE_IMPLICIT_KEY: 'a key is on one line, with a ":" after it',
  MULTIPLE_DOCS: 'a second document begins here; a file has one',
  NON_STRING_KEY: 'a key has to be a plain word or a quoted string',
  RESOURCE_EXHAUSTION: `nested too deeply; at most ${DEPTH_MAX} levels`,
  TAB_AS_INDENT: 'tabs do not indent; use blanks',
  TAG_RESOLVE_FAILED: 'tags (!name) are not taken; leave it out, or quote a text that begins with !',
}

function syntaxMessage(code: string, message: string): string {
  if (code === 'MISSING_CHAR') return missingMessage(message)
  return (
    SYNTAX[code] ?? 'not valid YAML: this cannot stand here; a bracket, a comma or a quote before it may be missing'
  )
}

function missingMessage(message: string): string {
  if (message.startsWith('Missing closing')) return 'not valid YAML: a quote is not closed'
  if (message.includes(' , ')) return 'not valid YAML: a comma or a closing bracket is missing before this'
  if (message.includes('map values') || message.includes('space')) return 'not valid YAML: a key needs ": " and a value'
  return 'not valid YAML: a bracket, a comma or a ":" is missing before this'
}

/** Walks the node tree once: plain values, places, substitution, and refusal of what config files have no use for. */
class TreeReader {
  private readonly environment: Environment
  private readonly refuse: (offset: number, message: string) => void

  constructor(environment: Environment, refuse: (offset: number, message: string) => void) {
    this.environment = environment
    this.refuse = refuse
  }

  read(node: Node): { value: unknown; place: Place } {
    return this.node(node, node.range?.[0] ?? 0, [])
  }

  private node(node: Node | null, keyOffset: number, path: readonly string[]): { value: unknown; place: Place } {
    const offset = node?.range?.[0] ?? keyOffset
    const place = { offset, keyOffset, written: undefined, children: undefined }
    if (node === null) return { value: null, place }
    if (path.length > DEPTH_MAX) {
      this.refuse(offset, `nested too deeply; at most ${DEPTH_MAX} levels`)
      return { value: null, place }
    }
    if (isAlias(node)) {
      this.refuse(offset, 'aliases (*name) are not taken; write the value out')
      return { value: null, place }
    }
    if (node.anchor !== undefined)
      this.refuse(offset, 'anchors (&name) are not taken; write the value out where needed')
    if (node.tag !== undefined) this.refuse(offset, 'tags (!name) are not taken; leave it out')
    if (isMap(node)) return this.map(node as YAMLMap<Node, Node | null>, place, path)
    if (isSeq(node)) {
      const children = new Map<string, Place>()
      const value = node.items.map((item, i) => {
        const child = this.node(item as Node | null, (item as Node | null)?.range?.[0] ?? offset, [...path, String(i)])
        children.set(String(i), child.place)
        return child.value
      })
      return { value, place: { ...place, children } }
    }
    return isScalar(node) ? this.scalar(node.value, node.source, place) : { value: null, place }
  }

  private map(node: YAMLMap<Node, Node | null>, place: Place, path: readonly string[]) {
    const value: Record<string, unknown> = {}
    const children = new Map<string, Place>()
    for (const { key, value: item } of node.items) {
      const keyOffset = key.range?.[0] ?? place.offset
      const name = isScalar(key) ? String(key.value) : ''
      if (!isScalar(key)) this.refuse(keyOffset, 'a key has to be a plain word or a quoted string')
      else if (name === '<<') this.refuse(keyOffset, 'merge keys (<<) are not taken; write the fields out')
      else if (name === '__proto__') this.refuse(keyOffset, '"__proto__" is a reserved word; take another name')
      else if (children.has(name)) this.refuse(keyOffset, duplicateMessage(path, name))
      else {
        if (key.anchor !== undefined) this.refuse(keyOffset, 'anchors (&name) are not taken; leave it out')
        if (key.tag !== undefined) this.refuse(keyOffset, 'tags (!name) are not taken; leave it out')
        const child = this.node(item, keyOffset, [...path, name])
        value[name] = child.value
        children.set(name, child.place)
      }
    }
    return { value, place: { ...place, children } }
  }

  private scalar(value: unknown, source: string | undefined, place: Place): { value: unknown; place: Place } {
    const written = source ?? String(value)
    if (typeof value !== 'string') return { value, place: { ...place, written } }
    const { text, problem } = substitute(value, this.environment)
    if (problem !== undefined) this.refuse(place.offset, problem)
    return { value: text, place: { ...place, written } }
  }
}

const NAMED: Readonly<Record<string, string>> = {
  accounts: 'account',
  plans: 'plan',
  upstreams: 'upstream',
  units: 'unit',
}

function duplicateMessage(path: readonly string[], name: string): string {
  const kind = path.length === 1 ? (NAMED[path[0] ?? ''] ?? 'field') : 'field'
  const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)
  return `${[...path, ''].join('.')}${name.slice(0, 60)}: duplicate ${kind} ${shown}; it stands above already`
}
