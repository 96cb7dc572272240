/**
 * How a model's name fits a rule of the catalog. The rules are those of the data's source:
 * github.com/pydantic/genai-prices, packages/js/src/engine.ts.
 */
import type { CatalogMatch } from './catalog-data.ts'

/** The name is in lower case. Throws TypeError for a rule that is none. */
export function matcher(match: CatalogMatch): (name: string) => boolean {
  if ('or' in match) {
    const rules = match.or.map(matcher)
    return (name) => rules.some((fits) => fits(name))
  }
  if ('and' in match) {
    const rules = match.and.map(matcher)
    return (name) => rules.every((fits) => fits(name))
  }
  if ('equals' in match) return is(match.equals, (name, text) => name === text)
  if ('starts_with' in match) return is(match.starts_with, (name, text) => name.startsWith(text))
  if ('ends_with' in match) return is(match.ends_with, (name, text) => name.endsWith(text))
  if ('contains' in match) return is(match.contains, (name, text) => name.includes(text))
  if (!('regex' in match)) throw new TypeError(`unknown rule ${JSON.stringify(match)}`)
  const expression = new RegExp(match.regex)
  return (name) => expression.test(name)
}

function is(text: string, compare: (name: string, text: string) => boolean): (name: string) => boolean {
  const lower = text.toLowerCase()
  return (name) => compare(name, lower)
}

/** `-20250514` is `-2025-05-14` at some: tried where the name as it came is unknown. */
export function withDashedDate(name: string): string {
  return name.replace(/-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)/g, '-$1-$2-$3')
}
