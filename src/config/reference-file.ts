import type { JsonSchema } from './describe-issues.ts'

/** Values for fields that have no default, and names for maps, by path; `*` is any name, `[]` any item. */
export type Examples = Readonly<Record<string, unknown>>

/**
 * A config file with every field that its JSON Schema knows: meaning, form and default in a comment, and the default,
 * or an example, as the value. Fields that are not supported yet stand in comments alone.
 *
 * Throws where a field has no description, or neither a default nor an example: the reference is complete or not there.
 */
export function referenceFile(name: string, schema: JsonSchema, examples: Examples): string {
  const lines = [
    `# yaml-language-server: $schema=../schema/${name}.json`,
    `# ${String(schema['description'])} Every field, with its meaning, form and default.`,
    '# Written from the schema that validates: change that, then run "npm run schemas".',
    '',
    ...fieldLines(schema, '', '', examples),
  ]
  return `${lines.join('\n')}\n`
}

function fieldLines(schema: JsonSchema, path: string, indent: string, examples: Examples): string[] {
  const required = (schema['required'] as readonly string[] | undefined) ?? []
  const fields = Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>)
  return fields.flatMap(([field, inner]) => {
    const at = path === '' ? field : `${path}.${field}`
    if (inner['description'] === undefined) throw new Error(`${at} has no description`)
    const lines = [...describe(inner, required.includes(field), indent)]
    if (inner['x-later'] === true) return [...lines, `${indent}# ${field}:`]
    return [...lines, ...valueLines(field, inner, at, indent, examples), ...(indent === '' ? [''] : [])]
  })
}

function describe(schema: JsonSchema, required: boolean, indent: string): string[] {
  const parts = [sentence(String(schema['description']))]
  const form = formOf(schema)
  if (form !== '') parts.push(`${sentence(form)}`)
  if (schema['x-later'] === true) parts.unshift('Not supported yet:')
  else if (required) parts.push('Required.')
  else if (!isSection(schema))
    parts.push(`Default: ${schema['default'] === undefined ? 'none' : inline(schema['default'])}.`)
  return wrap(parts.join(' '), 110 - indent.length).map((line) => `${indent}# ${line}`)
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`
}

function isSection(schema: JsonSchema): boolean {
  return schema['properties'] !== undefined
}

function formOf(schema: JsonSchema): string {
  const first = Array.isArray(schema['anyOf']) ? ((schema['anyOf'] as JsonSchema[])[0] ?? {}) : schema
  if (Array.isArray(first['enum'])) return `one of ${first['enum'].join(', ')}`
  const pattern = String(first['pattern'] ?? '')
  if (pattern.includes('(ms|s|m|h|d)')) return 'a duration: 250ms, 30s, 10m, 24h, 30d'
  if (pattern.startsWith('^-?(0')) return 'a quoted decimal'
  if (JSON.stringify(schema['anyOf'] ?? '').includes('KiB')) return 'a number of bytes, or like 256KiB, 32MiB'
  if (first['type'] === 'boolean') return 'true or false'
  if (first['type'] === 'integer')
    return `a whole number from ${String(first['minimum'])} to ${String(first['maximum'])}`
  const items = schema['items'] as JsonSchema | undefined
  return items ? `a list${formOf(items) === '' ? '' : ` of ${formOf(items)}`}` : ''
}

function valueLines(field: string, schema: JsonSchema, path: string, indent: string, examples: Examples): string[] {
  const inner = `${indent}  `
  if (Object.hasOwn(examples, path)) return [`${indent}${field}: ${inline(examples[path])}`]
  if (Array.isArray(schema['oneOf']))
    return alternativeLines(field, schema['oneOf'] as JsonSchema[], path, indent, examples)
  if (isSection(schema)) {
    const lines = fieldLines(schema, path, inner, examples)
    const empty = lines.every((line) => line.trimStart().startsWith('#'))
    return [`${indent}${field}:${empty ? ' {}' : ''}`, ...lines]
  }
  const items = schema['items'] as JsonSchema | undefined
  if (items && isSection(items)) {
    const lines = fieldLines(items, `${path}[]`, `${inner}  `, examples)
    return [`${indent}${field}:`, `${inner}-`, ...lines]
  }
  const named = schema['additionalProperties']
  if (typeof named === 'object' && named !== null && isSection(named as JsonSchema)) {
    const name = examples[`${path}.*`]
    if (typeof name !== 'string') throw new Error(`${path} has no example of a name`)
    return [
      `${indent}${field}:`,
      `${inner}${name}:`,
      ...fieldLines(named as JsonSchema, `${path}.*`, `${inner}  `, examples),
    ]
  }
  if (schema['default'] === undefined) throw new Error(`${path} has neither a default nor an example`)
  return [`${indent}${field}: ${inline(schema['default'])}`]
}

/** The first of several forms as the value, the others in comments, each with its fields. */
function alternativeLines(
  field: string,
  forms: readonly JsonSchema[],
  path: string,
  indent: string,
  examples: Examples,
): string[] {
  const shown = forms.map((form) => {
    const values = Object.entries((form['properties'] ?? {}) as Record<string, JsonSchema>).map(([name, schema]) => {
      const value = schema['const'] ?? schema['default'] ?? examples[`${path}.${name}`]
      if (value === undefined) throw new Error(`${path}.${name} has neither a default nor an example`)
      return [name, value] as const
    })
    return inline(Object.fromEntries(values))
  })
  const fields = new Map(
    forms.flatMap((form) => Object.entries((form['properties'] ?? {}) as Record<string, JsonSchema>)),
  )
  const notes = [...fields].flatMap(([name, schema]) => {
    if (schema['const'] !== undefined) return []
    const [first = '', ...rest] = describe(schema, schema['default'] === undefined, indent)
    return [`${indent}#   ${name}: ${first.slice(indent.length + 2)}`, ...rest]
  })
  const others = shown.slice(1).map((form) => `${indent}# or: ${form}`)
  return [...others, ...notes, `${indent}${field}: ${shown[0]}`]
}

/** A value in YAML's flow form, on one line. */
function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).map(([field, inner]) => `${field}: ${inline(inner)}`)
    return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`
  }
  // Words stay bare; what YAML or we would take for something else is quoted.
  if (typeof value === 'string' && /^[a-z_][a-z0-9_.-]*$|^\d+(ms|s|m|h|d|KiB|MiB)$|^\d{4}-\d\d-\d\d$/i.test(value))
    return value
  return JSON.stringify(value)
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
