/** Read from YAML, and perhaps not what the schema asks for: what is of another kind is empty. */
export type Fields = Readonly<Record<string, unknown>>

export function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function mapOf(value: unknown): Fields {
  return isMap(value) ? value : {}
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
