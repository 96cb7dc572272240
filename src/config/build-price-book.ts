import { basename } from 'node:path'
import type { PriceBook, PriceEntry } from '../core/price-book.ts'
import type { PriceBookFile } from './price-book-schema.ts'
import type { YamlFile } from './read-yaml.ts'

/** Entries in the file's order; `version` is of the file's text. */
export function buildPriceBook(read: PriceBookFile, file: YamlFile, version: string): PriceBook {
  const entries = read.entries.map((entry, i): PriceEntry => {
    const priced = entry.per_million !== undefined || entry.per_unit !== undefined
    const { line } = file.problemAt(['entries', i], 'value', '')
    return Object.freeze({
      match: entry.match,
      fromMs: entry.from ?? 0,
      unit: entry.unit ?? read.unit,
      cost: priced ? { perMillion: entry.per_million ?? {}, perUnit: entry.per_unit ?? {} } : undefined,
      charge: entry.charge && {
        rates: { perMillion: entry.charge.per_million ?? {}, perUnit: entry.charge.per_unit ?? {} },
        markup: entry.charge.markup,
      },
      contextWindow: entry.context_window,
      maxOutputTokens: entry.max_output_tokens,
      source: entry.source,
      position: `${basename(file.file)}:${line}`,
    })
  })
  return Object.freeze({ version, unit: read.unit, markup: read.markup, entries })
}
