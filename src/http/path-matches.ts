/** What the formats make of a path, kept: nearly every request of a gateway has one of a few paths. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Format } from '../config/snapshot.ts'
import { RecentMap } from '../core/recent-map.ts'
import type { OperationMatch, Provider } from '../providers/provider.ts'

type Providers = ReadonlyMap<Format, Provider>

/** Callers choose the paths: what is kept of them is bounded. */
const KEPT_MAX = 2_000
const KEPT_LENGTH_MAX = 256

class PathMatches {
  readonly #providers: Providers
  readonly #tellingHeaders: readonly string[]
  readonly #kept = new RecentMap<readonly OperationMatch[]>(KEPT_MAX)

  constructor(providers: Providers) {
    this.#providers = providers
    this.#tellingHeaders = [...new Set([...providers.values()].flatMap(({ tellingHeaders }) => tellingHeaders ?? []))]
  }

  find(
    method: string,
    path: string,
    headers: IncomingHttpHeaders,
    only: Format | undefined,
  ): readonly OperationMatch[] {
    if (path.length > KEPT_LENGTH_MAX) return this.#ask(method, path, headers, only)
    const key = this.#keyOf(method, path, headers, only)
    let found = this.#kept.get(key)
    if (found === undefined) {
      found = this.#ask(method, path, headers, only)
      this.#kept.set(key, found)
    }
    return found
  }

  #keyOf(method: string, path: string, headers: IncomingHttpHeaders, only = ''): string {
    let present = ''
    for (const name of this.#tellingHeaders) if (headers[name] !== undefined) present += ` ${name}`
    // No method and no format has a blank in it, and no path begins without a slash.
    return `${method} ${only}${present} ${path}`
  }

  #ask(method: string, path: string, headers: IncomingHttpHeaders, only: Format | undefined): OperationMatch[] {
    const found: OperationMatch[] = []
    for (const [format, provider] of this.#providers) {
      if (only !== undefined && only !== format) continue
      const match = provider.match(method, path, headers)
      if (match !== undefined) found.push(match)
    }
    return found
  }
}

const ofProviders = new WeakMap<Providers, PathMatches>()

/** In the order of the formats. `only`: of this one alone. */
export function pathMatches(
  providers: Providers,
  method: string,
  path: string,
  headers: IncomingHttpHeaders,
  only: Format | undefined,
): readonly OperationMatch[] {
  let matches = ofProviders.get(providers)
  if (matches === undefined) {
    matches = new PathMatches(providers)
    ofProviders.set(providers, matches)
  }
  return matches.find(method, path, headers, only)
}
