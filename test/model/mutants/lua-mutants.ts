/** Every small change of a Lua text that a test ought to notice. */
import luaparse from 'luaparse'

export interface Mutant {
  readonly file: string
  /**
   * The line that is changed, and what it becomes: with the file its name, which outlives moves of the line. Where one
   * line stands in several places, `(2)` behind it says that it is the second of them.
   */
  readonly line: string
  readonly change: string
  /** The whole file with the change made. */
  readonly text: string
  readonly lineNumber: number
}

interface LuaNode {
  readonly type: string
  readonly range: readonly [number, number]
  readonly loc: { readonly start: { readonly line: number } }
  readonly [key: string]: unknown
}
interface Edit {
  readonly from: number
  readonly to: number
  readonly text: string
}

const OPERATORS: Readonly<Record<string, readonly string[]>> = {
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
  '==': ['~='],
  '~=': ['=='],
  '+': ['-'],
  '-': ['+'],
  '*': ['/'],
  '/': ['*'],
  '%': ['*'],
  and: ['or'],
  or: ['and'],
}
const CALLS: Readonly<Record<string, string>> = {
  'math.min': 'math.max',
  'math.max': 'math.min',
  'math.floor': 'math.ceil',
}
/** Fields that stand beside each other: the one is written for the other. */
const FIELDS: Readonly<Record<string, string>> = {
  available: 'scoped',
  scoped: 'available',
  pinned: 'pending',
  pending: 'pinned',
  free: 'held',
  held: 'free',
  consumed: 'voided',
  voided: 'expired',
  expired: 'voided',
  debt: 'debt_held',
  debt_held: 'debt',
  overflow: 'flagged',
  flagged: 'postpaid',
  postpaid: 'flagged',
  over: 'over_base',
  over_base: 'over',
  floor: 'known',
  known: 'floor',
  spent: 'held',
  fixed: 'each',
  each: 'fixed',
  start: 'ends',
}

/** `text` is a script or one of its includes. Throws SyntaxError where it is no Lua. */
export function mutantsOf(file: string, text: string): readonly Mutant[] {
  const tree = luaparse.parse(text, { luaVersion: '5.1', ranges: true, locations: true }) as unknown as LuaNode
  const mutants = new Map<string, Mutant>()
  visit(tree, (node) => {
    for (const edit of editsOf(node, text)) {
      const mutant = mutantOf(file, text, edit)
      const name = nameInPlace(mutant, mutants)
      mutants.set(nameOf(name), { ...mutant, ...name })
    }
  })
  return [...mutants.values()]
}

/** A name that no other text has. */
function nameInPlace(mutant: Mutant, named: ReadonlyMap<string, Mutant>): Pick<Mutant, 'file' | 'line' | 'change'> {
  const { file, line, change, text } = mutant
  for (let place = 1; ; place++) {
    const name = { file, line: place === 1 ? line : `${line} (${place})`, change }
    if ((named.get(nameOf(name))?.text ?? text) === text) return name
  }
}

export function nameOf({ file, line, change }: Pick<Mutant, 'file' | 'line' | 'change'>): string {
  return `${file}: ${line} => ${change}`
}

function visit(value: unknown, see: (node: LuaNode) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, see)
    return
  }
  if (typeof value !== 'object' || value === null) return
  const node = value as LuaNode
  if (typeof node.type === 'string') see(node)
  // The indices that a header documents are the loader's to check.
  if (node.type === 'IndexExpression' && /^(KEYS|ARGV)$/.test(String((node['base'] as LuaNode)['name']))) return
  for (const [key, child] of Object.entries(node)) if (key !== 'loc' && key !== 'range') visit(child, see)
}

/** The line as it was and as it becomes; of a statement that goes, its first line alone is told. */
function mutantOf(file: string, text: string, { from, to, text: put }: Edit): Mutant {
  const begin = text.lastIndexOf('\n', from - 1) + 1
  const end = text.indexOf('\n', to) < 0 ? text.length : text.indexOf('\n', to)
  const whole = text.slice(0, from) + put + text.slice(to)
  const oneLine = (part: string): string => part.replace(/\s+/g, ' ').trim()
  return {
    file,
    line: oneLine(text.slice(begin, end)),
    change: oneLine(text.slice(begin, from) + put + text.slice(to, end)) || '(nothing)',
    text: whole,
    lineNumber: text.slice(0, from).split('\n').length,
  }
}

function editsOf(node: LuaNode, text: string): readonly Edit[] {
  const [from, to] = node.range
  const own = text.slice(from, to)
  switch (node.type) {
    case 'BinaryExpression':
    case 'LogicalExpression':
      return operatorEdits(node, text)
    case 'UnaryExpression':
      return node['operator'] === '#' ? [] : [{ from, to, text: own.replace(/^(not\s+|-)/, '') }]
    case 'NumericLiteral':
      return [{ from, to, text: String(Number(node['value']) + 1) }]
    case 'BooleanLiteral':
      return [{ from, to, text: node['value'] === true ? 'false' : 'true' }]
    case 'IfClause':
    case 'ElseifClause':
      return negations(node['condition'] as LuaNode, text)
    case 'CallStatement':
      return [{ from, to, text: '' }]
    case 'AssignmentStatement':
      return [{ from, to, text: '' }]
    case 'MemberExpression':
      return memberEdits(node, own)
    default:
      return []
  }
}

function operatorEdits(node: LuaNode, text: string): readonly Edit[] {
  const left = node['left'] as LuaNode
  const right = node['right'] as LuaNode
  const between = text.slice(left.range[1], right.range[0])
  const operator = String(node['operator'])
  const at = between.indexOf(operator)
  // Text becomes a number by `+ 0`: the same as `- 0`.
  if (at < 0 || (right.type === 'NumericLiteral' && right['value'] === 0 && (operator === '+' || operator === '-')))
    return []
  const from = left.range[1] + at
  return (OPERATORS[operator] ?? []).map((other) => ({ from, to: from + operator.length, text: other }))
}

/** Of what is no comparison and no negation: those have it among their own changes. */
function negations(condition: LuaNode, text: string): readonly Edit[] {
  const [from, to] = condition.range
  const other = condition.type === 'UnaryExpression' || condition.type === 'BinaryExpression'
  return other ? [] : [{ from, to, text: `not (${text.slice(from, to)})` }]
}

function memberEdits(node: LuaNode, own: string): readonly Edit[] {
  const identifier = node['identifier'] as LuaNode
  const name = String(identifier['name'])
  const [from, to] = node.range
  const call = CALLS[own]
  if (call) return [{ from, to, text: call }]
  const other = own.startsWith('math.') ? undefined : FIELDS[name]
  return other ? [{ from: identifier.range[0], to: identifier.range[1], text: other }] : []
}
