/** What the schema of the price book cannot see: entries that say nothing or twice the same, and models that are not there. */
import type { Catalog } from '../core/catalog.ts'
import { globMatches } from '../core/glob.ts'
import { shorten } from './describe-issues.ts'
import { type Fields, isMap, listOf, mapOf } from './raw-fields.ts'
import type { YamlFile } from './read-yaml.ts'
import { remedy } from './suggest.ts'

/** Each entry says something, no two of a series begin at once, and long contexts rise. */
export function checkPriceBook(file: YamlFile): void {
  const seen = new Map<string, number>()
  listOf(mapOf(file.value)['entries']).forEach((item, i) => {
    if (!isMap(item)) return
    const parts = partsOf(item)
    if (parts.length === 0) {
      file.report(
        ['entries', i],
        'value',
        `entries[${i}]: sets nothing; give it per_million, per_unit, charge, like, tiers, context_window or max_output_tokens`,
      )
    }
    const match = JSON.stringify(Object.entries(mapOf(item['match'])).sort(([a], [b]) => (a < b ? -1 : 1)))
    const series = `${match} ${instantOf(item['from'])}`
    for (const part of parts) {
      const first = seen.get(`${part} ${series}`)
      if (first === undefined) seen.set(`${part} ${series}`, i)
      else {
        const { line } = file.problemAt(['entries', first], 'value', '')
        file.report(
          ['entries', i],
          'value',
          `entries[${i}]: a second ${part} of the same match and from; the first is in line ${line}`,
        )
        break
      }
    }
    checkLongContext(file, i, mapOf(item['tiers'])['long_context'])
  })
}

/** What of a price an entry sets. A model that it is like has a cost. */
function partsOf(entry: Fields): string[] {
  const has = (field: string) => entry[field] !== undefined
  const tiers = isMap(entry['tiers']) ? Object.keys(entry['tiers']).length > 0 : has('tiers')
  return [
    has('per_million') || has('per_unit') || has('like') ? 'cost' : '',
    has('charge') ? 'charge' : '',
    tiers ? 'tiers' : '',
    has('context_window') ? 'context_window' : '',
    has('max_output_tokens') ? 'max_output_tokens' : '',
  ].filter((part) => part !== '')
}

function checkLongContext(file: YamlFile, i: number, steps: unknown): void {
  let last: number | undefined
  listOf(steps).forEach((step, j) => {
    const above = mapOf(step)['above']
    if (typeof above !== 'number') return
    if (last !== undefined && above <= last) {
      const path = ['entries', i, 'tiers', 'long_context', j, 'above']
      const where = `entries[${i}].tiers.long_context[${j}].above`
      file.report(path, 'value', `${where}: "${above}" is not above ${last}, that of the one before; let them rise`)
    }
    last = above
  })
}

/**
 * Each `like` is a model that an entry prices, or the catalog has: of a provider behind one of the upstreams, of the one
 * that owns the name, or PROVIDER/MODEL.
 *
 * @param catalog undefined: the price book has none.
 * @param providers the catalog's providers behind the upstreams.
 */
export function checkLikes(file: YamlFile, catalog: Catalog | undefined, providers: readonly string[]): void {
  const entries = listOf(mapOf(file.value)['entries']).map(mapOf)
  const isKnown = (like: string, seen: Set<Fields>): boolean => {
    if ([undefined, ...providers].some((provider) => catalog?.findNamed(provider, like) !== undefined)) return true
    return entries.some((entry) => {
      const pattern = mapOf(entry['match'])['model']
      if (seen.has(entry) || typeof pattern !== 'string' || !globMatches(pattern, like)) return false
      if (entry['per_million'] !== undefined || entry['per_unit'] !== undefined) return true
      seen.add(entry)
      const next = entry['like']
      return typeof next === 'string' && isKnown(next, seen)
    })
  }
  entries.forEach((entry, i) => {
    const like = entry['like']
    if (typeof like !== 'string' || like === '' || isKnown(like, new Set([entry]))) return
    const plain = entries.map((other) => mapOf(other['match'])['model'])
    const names = plain.filter((name): name is string => typeof name === 'string' && !name.includes('*'))
    const near = remedy(like, [...(catalog?.modelIds() ?? []), ...names.filter((name) => name !== like)], '')
    const why = near.startsWith('; did') ? near : catalog ? '; neither an entry nor the catalog prices it' : NO_CATALOG
    file.report(['entries', i, 'like'], 'value', `entries[${i}].like: unknown model "${shorten(like)}"${why}`)
  })
}

const NO_CATALOG = '; no other entry prices it, and there is no catalog ("catalog: genai-prices")'

function instantOf(from: unknown): string {
  if (typeof from !== 'string') return ''
  const ms = Date.parse(from)
  return Number.isNaN(ms) ? from : String(ms)
}
