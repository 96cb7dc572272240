import { textTokens } from './generate-text.ts'
import type { Random } from './random.ts'

type Schema = Readonly<Record<string, unknown>>

// Deeper than any sane schema; a recursive $ref ends here with null.
const DEPTH_MAX = 12

/**
 * A value that a simple JSON Schema accepts: const, enum, $ref inside the document, anyOf and oneOf (the first that
 * is not null), type lists, objects (all properties), arrays, strings with the common formats, numbers in range.
 */
export function schemaValue(schema: unknown, random: Random): unknown {
  return anyValue(schema, { random, root: isSchema(schema) ? schema : {} }, 0)
}

interface Context {
  readonly random: Random
  readonly root: Schema
}

function anyValue(schema: unknown, context: Context, depth: number): unknown {
  if (!isSchema(schema) || depth > DEPTH_MAX) return null
  if ('const' in schema) return schema['const']
  if (Array.isArray(schema['enum'])) return schema['enum'][context.random.below(schema['enum'].length)]
  if (typeof schema['$ref'] === 'string') return anyValue(resolve(schema['$ref'], context.root), context, depth + 1)
  const choices = schema['anyOf'] ?? schema['oneOf'] ?? schema['allOf']
  if (Array.isArray(choices)) {
    const chosen = choices.find((choice) => isSchema(choice) && choice['type'] !== 'null')
    return anyValue(chosen, context, depth + 1)
  }
  return typedValue(typeName(schema), schema, context, depth)
}

function typedValue(type: string, schema: Schema, context: Context, depth: number): unknown {
  switch (type) {
    case 'object':
      return objectValue(schema, context, depth)
    case 'array':
      return arrayValue(schema, context, depth)
    case 'integer':
    case 'number':
      return numberValue(schema, context.random)
    case 'boolean':
      return context.random.below(2) === 1
    case 'string':
      return stringValue(schema, context.random)
    default:
      return null
  }
}

function typeName(schema: Schema): string {
  const type = schema['type']
  if (Array.isArray(type)) return String(type.find((name) => name !== 'null') ?? 'null')
  if (typeof type === 'string') return type
  return 'properties' in schema ? 'object' : 'null'
}

function objectValue(schema: Schema, context: Context, depth: number): Record<string, unknown> {
  const properties = isSchema(schema['properties']) ? schema['properties'] : {}
  const value: Record<string, unknown> = {}
  for (const [name, property] of Object.entries(properties)) value[name] = anyValue(property, context, depth + 1)
  return value
}

function arrayValue(schema: Schema, context: Context, depth: number): unknown[] {
  const least = numberOr(schema['minItems'], 0)
  const most = Math.max(least, numberOr(schema['maxItems'], 2))
  const count = Math.min(Math.max(least, 1), most)
  return Array.from({ length: count }, () => anyValue(schema['items'], context, depth + 1))
}

function numberValue(schema: Schema, random: Random): number {
  const above = numberOr(schema['exclusiveMinimum'], Number.NaN)
  const least = Number.isNaN(above) ? numberOr(schema['minimum'], 0) : Math.floor(above) + 1
  const below = numberOr(schema['exclusiveMaximum'], Number.NaN)
  const most = Number.isNaN(below) ? numberOr(schema['maximum'], least + 99) : Math.ceil(below) - 1
  return least + random.below(Math.max(1, Math.floor(most - least) + 1))
}

const FORMATS: Readonly<Record<string, string>> = {
  date: '2026-11-01',
  time: '12:00:00Z',
  'date-time': '2026-11-01T12:00:00Z',
  email: 'someone@example.com',
  uuid: '00000000-0000-4000-8000-000000000000',
  uri: 'https://example.com/',
}

function stringValue(schema: Schema, random: Random): string {
  const known = FORMATS[String(schema['format'])]
  if (known !== undefined) return known
  const text = textTokens(random, 3).join('').padEnd(numberOr(schema['minLength'], 0), '.')
  return text.slice(0, numberOr(schema['maxLength'], text.length))
}

function resolve(reference: string, root: Schema): unknown {
  let at: unknown = root
  for (const step of reference.split('/').slice(1)) at = isSchema(at) ? at[step] : undefined
  return at
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
