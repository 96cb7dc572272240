/**
 * Output limits that stand in an object of the body (`inferenceConfig.maxTokens`) or at its top, found as spans so that
 * a limit can be spliced in.
 */
import { type JsonBody, type MemberSpan, readMembers } from '../json-body.ts'
import { highestLimit, type NamedLimit } from '../output-limit.ts'
import { InvalidCall } from '../provider.ts'
import { asObject, readWholeNumber } from '../read-fields.ts'
import type { Edit } from '../splice.ts'

/** "max_tokens", "inferenceConfig.maxTokens": members on the way, and the parameter. */
export type LimitPath = string

/** What a body has of them, small: it lives as long as the call. */
export interface BodyLimits {
  readonly limits: readonly NamedLimit[]
  /** The one that a limit is written as where the caller names none. */
  readonly own: LimitPath
  /** Writes it. */
  insert(tokens: number): Edit
}

/** An object on the way to a parameter. */
interface Container {
  readonly fields: Readonly<Record<string, unknown>>
  readonly members: ReadonlyMap<string, MemberSpan>
  /** Just behind the opening brace. */
  readonly insertAt: number
}

/**
 * `paths`: all that the model reads, its usual one first (at most one object deep). Throws InvalidCall where one is no
 * whole number of at least 0, or stands in something that is no object.
 */
export function readBodyLimits(
  raw: Buffer,
  body: JsonBody,
  paths: readonly [LimitPath, ...LimitPath[]],
  jsonDepth: number,
): BodyLimits {
  const containers = new Map<string, Container | undefined>([
    ['', { fields: body.value, members: body.members, insertAt: body.insertAt }],
  ])
  const find = (path: string): Container | undefined => {
    if (containers.has(path)) return containers.get(path)
    const [parent, name] = splitPath(path)
    const container = openMember(raw, find(parent), name, path, jsonDepth)
    containers.set(path, container)
    return container
  }
  const limits: NamedLimit[] = []
  for (const path of paths) {
    const [parent, name] = splitPath(path)
    const container = find(parent)
    const span = container?.members.get(name)
    if (container && span) limits.push({ name: path, tokens: readLimit(container.fields, name, path), span })
  }
  const own = paths[0]
  return { limits, own, insert: insertion(own, containers, limits) }
}

export function callersLimit({ limits }: BodyLimits): number | undefined {
  return highestLimit(limits)
}

/** Into each of the caller's own that is higher (a lower one stays), else as a parameter of its own. */
export function bodyLimitEdits(limits: BodyLimits, tokens: number): Edit[] {
  const named = limits.limits.filter((limit) => limit.tokens !== undefined)
  if (named.length === 0) return [limits.insert(tokens)]
  return named.filter((limit) => (limit.tokens ?? 0) > tokens).map(({ span }) => replace(span, String(tokens)))
}

/** The caller's own parameter, else the one that is written. */
export function bodyLimitName({ limits, own }: BodyLimits): string {
  return limits.find((limit) => limit.tokens !== undefined)?.name ?? own
}

/** undefined where the member is absent or null. */
function openMember(
  raw: Buffer,
  parent: Container | undefined,
  name: string,
  path: string,
  jsonDepth: number,
): Container | undefined {
  const span = parent?.members.get(name)
  const value = parent?.fields[name]
  if (!span || value === undefined || value === null) return undefined
  const fields = asObject(value)
  if (!fields) throw new InvalidCall(`"${path}" must be an object.`, path)
  return {
    fields,
    members: readMembers(raw, span.valueStart, jsonDepth, `${path}.`),
    insertAt: span.valueStart + 1,
  }
}

function readLimit(fields: Readonly<Record<string, unknown>>, name: string, path: string): number | undefined {
  try {
    return readWholeNumber(fields, name, 0)
  } catch (error) {
    if (!(error instanceof InvalidCall)) throw error
    throw new InvalidCall(error.message.replace(`"${name}"`, `"${path}"`), path)
  }
}

function insertion(
  path: LimitPath,
  containers: ReadonlyMap<string, Container | undefined>,
  limits: readonly NamedLimit[],
): BodyLimits['insert'] {
  const [parent, name] = splitPath(path)
  const empty = limits.find((limit) => limit.name === path)?.span
  if (empty) return (tokens) => replace(empty, String(tokens))
  const container = containers.get(parent)
  if (container) return (tokens) => insert(container, `"${name}":${tokens}`)
  const top = containers.get('') as Container
  const nothing = top.members.get(parent)
  if (nothing) return (tokens) => replace(nothing, `{"${name}":${tokens}}`)
  return (tokens) => insert(top, `"${parent}":{"${name}":${tokens}}`)
}

function insert({ insertAt, members }: Container, member: string): Edit {
  return { from: insertAt, to: insertAt, text: members.size === 0 ? member : `${member},` }
}

function replace(span: MemberSpan, text: string): Edit {
  return { from: span.valueStart, to: span.valueEnd, text }
}

/** "a.b.c" → "a.b" and "c". */
function splitPath(path: LimitPath): readonly [parent: string, name: string] {
  const dot = path.lastIndexOf('.')
  return [dot < 0 ? '' : path.slice(0, dot), path.slice(dot + 1)]
}
