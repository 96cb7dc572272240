import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml'
import { byPosition, type Problem } from './problem.ts'
import { type Environment, substitute } from './substitute.ts'

/** Larger files are refused before they are parsed. */
export const FILE_BYTES_MAX = 4 * 1024 * 1024
const DEPTH_MAX = 32
/** After this many a file is most likely not what it was meant to be. */
const PROBLEMS_MAX = 200

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
    if (this.problems.length >= PROBLEMS_MAX) return
    const { line, col } = this.lines.linePos(offset)
    this.problems.push({ file: this.file, line: Math.max(line, 1), column: Math.max(col, 1), message })
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
      for (const error of document.errors) this.addProblem(error.pos[0], syntaxMessage(error.code, error.message))
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

/** The parser's own words without pieces of the text, which may be secret. */
function syntaxMessage(code: string, message: string): string {
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here; a file has one'
  if (code === 'NON_STRING_KEY') return 'a key has to be a plain word or a quoted string'
  const words = message.split(/[:"'`]/, 1)[0]?.trim() ?? ''
  return `not valid YAML: ${words.charAt(0).toLowerCase()}${words.slice(1)}`
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
