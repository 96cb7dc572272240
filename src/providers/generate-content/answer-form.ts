/**
 * Google's APIs let a caller choose how an answer looks: by `alt` in another encoding than JSON, by `fields` with parts
 * of it left out. A form in which the usage could not be read is refused before it costs anything.
 * Source: cloud.google.com/apis/docs/system-parameters.
 */
import { type CallSource, InvalidCall } from '../provider.ts'

const ALTS = /^(json|sse)(;|$)/i
const MASK_HEADERS = ['x-goog-fieldmask', 'x-goog-request-fieldmask'] as const

/** `usageMember`: the member of the answer that states the usage. Throws InvalidCall. */
export function refuseOtherAnswers({ query, headers }: CallSource, usageMember: string): void {
  const parameters = new URLSearchParams(query)
  for (const name of ['alt', '$alt'])
    for (const alt of parameters.getAll(name))
      if (!ALTS.test(alt))
        throw new InvalidCall(`"${name}" must be json or sse; other encodings cannot be metered.`, name)
  for (const name of ['fields', '$fields'])
    for (const mask of parameters.getAll(name)) refuseMask(name, mask, usageMember)
  for (const name of MASK_HEADERS) {
    const mask = headers[name]
    if (typeof mask === 'string') refuseMask(name, mask, usageMember)
  }
}

function refuseMask(name: string, mask: string, usageMember: string): void {
  const paths = mask.split(',').map((path) => path.trim())
  if (!paths.includes('*') && !paths.includes(usageMember))
    throw new InvalidCall(`"${name}" leaves out "${usageMember}", by which the call is charged; add it.`, name)
}
