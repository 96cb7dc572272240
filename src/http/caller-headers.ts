/** The optional headers of a call: run, user, tags, dry run, cost. Read here, removed before forwarding. */
import type { IncomingMessage } from 'node:http'
import { NAME, nameOrHash } from '../core/name-or-hash.ts'
import { InvalidCall } from '../providers/provider.ts'

export interface CallerHeaders {
  readonly run: string | undefined
  readonly user: string | undefined
  readonly tags: Readonly<Record<string, string>>
  readonly dryRun: boolean
  /** `x-tollgate-cost: stream`. */
  readonly streamCost: boolean
}

const TAGS_MAX = 16

/** Throws InvalidCall for tags that are not `a=b,c=d` of names. */
export function readCallerHeaders(request: IncomingMessage, runHeaders: readonly string[]): CallerHeaders {
  const headers = request.headers
  let run = single(headers['x-tollgate-run'])
  for (const name of runHeaders) run ??= single(headers[name])
  const user = single(headers['x-tollgate-user'])
  const tags = single(headers['x-tollgate-tags'])
  return {
    run: run === undefined ? undefined : nameOrHash(run),
    user: user === undefined ? undefined : nameOrHash(user),
    tags: tags === undefined ? NO_TAGS : readTags(tags),
    dryRun: single(headers['x-tollgate-dry-run']) === '1',
    streamCost: single(headers['x-tollgate-cost']) === 'stream',
  }
}

const NO_TAGS: Readonly<Record<string, string>> = Object.freeze({})

function single(value: string | string[] | undefined): string | undefined {
  const first = Array.isArray(value) ? value[0] : value
  return first === undefined || first === '' ? undefined : first
}

function readTags(text: string): Readonly<Record<string, string>> {
  const tags: Record<string, string> = Object.create(null)
  const parts = text.split(',')
  if (parts.length > TAGS_MAX)
    throw new InvalidCall(`x-tollgate-tags has more than ${TAGS_MAX} tags.`, 'x-tollgate-tags')
  for (const part of parts) {
    const [name = '', value = '', ...rest] = part.trim().split('=')
    if (!NAME.test(name) || !NAME.test(value) || rest.length > 0) {
      throw new InvalidCall(
        'x-tollgate-tags must look like team=search,feature=chat, with names of A-Z a-z 0-9 . _ : @ / + -.',
        'x-tollgate-tags',
      )
    }
    tags[name] = value
  }
  return tags
}
