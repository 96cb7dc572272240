import type * as z from 'zod'
import type { Path, YamlFile } from './read-yaml.ts'
import { remedy, suggest } from './suggest.ts'

type Issue = z.core.$ZodIssue
export type JsonSchema = { readonly [key: string]: unknown }

const SUGGESTIONS_MAX = 200

const SECRET_FIELDS = new Set(['api_key', 'secret', 'sha256', 'url', 'headers', 'base_url', 'top_up_url'])

/** `plans.pro.models[0]` */
export function shownField(path: Path): string {
  let shown = ''
  for (const step of path) {
    if (typeof step === 'number') shown += `[${step}]`
    else shown += `${shown === '' ? '' : '.'}${shorten(String(step))}`
  }
  return shown
}

export function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** Reports each issue of a schema at its place in the file, with the remedy; what only follows from another is left out. */
export function describeIssues(file: YamlFile, issues: readonly Issue[], json: JsonSchema): void {
  const misspelt = new Set<string>()
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue
    const known = fieldsAt(json, issue.path)
    for (const [i, key] of issue.keys.entries()) {
      // Past that many nobody reads on, and looking for what was meant is most of the work.
      const near = i < SUGGESTIONS_MAX ? suggest(key, known) : undefined
      if (near !== undefined) misspelt.add(JSON.stringify([...issue.path.map(String), near]))
      describeUnknown(file, issue.path, key, i < SUGGESTIONS_MAX ? known : [])
    }
  }
  for (const issue of issues) {
    // The field that was misspelt is not missing as well.
    if (misspelt.has(JSON.stringify(issue.path.map(String))) && isMissing(file, issue.path)) continue
    describeIssue(file, issue)
  }
}

function describeUnknown(file: YamlFile, path: Path, key: string, known: readonly string[]): void {
  const hint = known.includes(key) ? '; it does not go with the other fields here' : remedy(key, known, 'known fields')
  const where = path.length === 0 ? '' : `${shownField(path)}: `
  file.report([...path, key], 'key', `${where}unknown field "${shorten(key)}"${hint}`)
}

function describeIssue(file: YamlFile, issue: Issue): void {
  const message = messageOf(file, issue)
  if (message === undefined) return
  const atKey = issue.code === 'invalid_key' || (issue.code === 'custom' && issue.params?.['atKey'] === true)
  const where = issue.path.length === 0 ? '' : `${shownField(issue.path)}: `
  file.report(issue.path, atKey || isMissing(file, issue.path) ? 'key' : 'value', `${where}${message}`)
}

function messageOf(file: YamlFile, issue: Issue): string | undefined {
  const place = file.placeOf(issue.path)
  const value = shownValue(file, issue.path)
  const missing = isMissing(file, issue.path)
  switch (issue.code) {
    case 'unrecognized_keys':
      return undefined
    case 'invalid_key':
      return `"${shorten(String(issue.path.at(-1)))}" ${issue.issues[0]?.message ?? 'is no name'}`
    case 'invalid_union': {
      const options = ('options' in issue && Array.isArray(issue.options) ? issue.options : []).map(String)
      const near = remedy(place.written ?? '', options, '')
      const hint = near.startsWith('; did') ? near : ''
      return missing
        ? `is missing; one of ${options.join(', ')}`
        : `${value} is not one of ${options.join(', ')}${hint}`
    }
    case 'invalid_type': {
      if (missing) return 'is missing'
      const empty = place.children === undefined && (place.written ?? '') === ''
      if (empty) return 'is empty; give it a value or leave it out'
      return `${value} is not ${issue.expected === 'array' ? 'a list, like [a, b]' : 'a map of fields'}`
    }
    case 'custom': {
      const quote = issue.params?.['quote'] === true ? `; quote it: write "${place.written ?? ''}"` : ''
      return issue.message.replace('%v', () => value) + quote
    }
    default:
      return issue.message
  }
}

function isMissing(file: YamlFile, path: Path): boolean {
  let place = file.root
  for (const step of path) {
    const next = place.children?.get(String(step))
    if (!next) return true
    place = next
  }
  return false
}

/** The value as the file has it, before substitution; never that of a field that may hold a secret. */
function shownValue(file: YamlFile, path: Path): string {
  const place = file.placeOf(path)
  if (place.written === undefined || path.some((step) => SECRET_FIELDS.has(String(step)))) return 'the value'
  return JSON.stringify(shorten(place.written))
}

/** Names of the fields that a JSON Schema knows at a path. */
function fieldsAt(json: JsonSchema, path: Path): string[] {
  let nodes = alternatives(json)
  for (const step of path) nodes = nodes.flatMap((node) => childOf(node, step)).flatMap(alternatives)
  return [...new Set(nodes.flatMap((node) => Object.keys((node['properties'] as JsonSchema | undefined) ?? {})))]
}

function alternatives(node: JsonSchema): JsonSchema[] {
  const inner = [node['anyOf'], node['oneOf']].flatMap((list) => (Array.isArray(list) ? (list as JsonSchema[]) : []))
  return [node, ...inner.flatMap(alternatives)]
}

function childOf(node: JsonSchema, step: PropertyKey): JsonSchema[] {
  if (typeof step === 'number') return isSchema(node['items']) ? [node['items']] : []
  const named = (node['properties'] as JsonSchema | undefined)?.[String(step)]
  if (isSchema(named)) return [named]
  return isSchema(node['additionalProperties']) ? [node['additionalProperties']] : []
}

const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null
