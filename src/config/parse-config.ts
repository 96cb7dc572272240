import { createHash } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import type * as z from 'zod'
import { buildBudgets, buildRates } from './build-budgets.ts'
import { buildEntitlements, type Entitlements } from './build-entitlements.ts'
import { buildPriceBook, catalogProvider } from './build-price-book.ts'
import { buildSettings } from './build-settings.ts'
import { buildWebhooks } from './build-webhooks.ts'
import { checkEntitlements, checkLimits, checkTollgate } from './check-relations.ts'
import { describeIssues, type JsonSchema } from './describe-issues.ts'
import { entitlementsSchema } from './entitlements-schema.ts'
import { findWarnings } from './find-warnings.ts'
import { JSON_SCHEMAS } from './json-schemas.ts'
import { loadCatalog } from './load-catalog.ts'
import { checkLikes, checkPriceBook } from './price-book-relations.ts'
import { priceBookSchema } from './price-book-schema.ts'
import { byPosition, type Problem, shownPath } from './problem.ts'
import { YamlFile } from './read-yaml.ts'
import type { Settings, Snapshot } from './snapshot.ts'
import { type Environment, substitute } from './substitute.ts'
import { HOST_DEFAULT, REDIS_URL_DEFAULT, tollgateSchema } from './tollgate-schema.ts'

/** One file as it was read: its absolute path and its text. */
export interface SourceFile {
  readonly file: string
  readonly text: string
}

export interface ConfigFiles {
  readonly tollgate: SourceFile
  readonly entitlements: SourceFile
  readonly prices: SourceFile
}

export type ParsedConfig =
  | { readonly snapshot: Snapshot; readonly problems?: undefined }
  | { readonly snapshot?: undefined; readonly problems: readonly Problem[] }

/**
 * Reads the three files as one: a typed, frozen snapshot, or every problem in all of them, by file and position.
 * Nothing is read but the texts. `generation` and `nowMs` go into the snapshot as they are.
 */
export function parseConfig(
  files: ConfigFiles,
  environment: Environment,
  { generation = 1, nowMs = 0 }: { generation?: number; nowMs?: number } = {},
): ParsedConfig {
  const tollgate = readFile(files.tollgate, environment)
  const entitlements = readFile(files.entitlements, environment)
  const prices = readFile(files.prices, environment)
  const tollgateValue = withEnvironmentDefaults(tollgate.value, environment)

  const readTollgate = check(tollgate, tollgateSchema, JSON_SCHEMAS.tollgate, tollgateValue)
  const readEntitlements = check(entitlements, entitlementsSchema, JSON_SCHEMAS.entitlements)
  const readPrices = check(prices, priceBookSchema, JSON_SCHEMAS['price-book'])
  checkTollgate(tollgate, tollgateValue)
  if (readTollgate) checkLimits(tollgate, readTollgate.limits)
  checkEntitlements(entitlements, tollgateValue)
  checkPriceBook(prices)
  const settings = readTollgate && buildSettings(files.tollgate.file, readTollgate)
  if (readPrices) {
    const catalog = readPrices.catalog === 'none' ? undefined : loadCatalog()
    const providers = catalog ? (settings?.upstreams ?? []).flatMap((upstream) => catalogProvider(upstream) ?? []) : []
    checkLikes(prices, catalog, providers)
  }

  let snapshot: Snapshot | undefined
  if (settings && readEntitlements && readPrices && noProblems(tollgate, entitlements, prices)) {
    const built: Entitlements = buildEntitlements(readEntitlements, settings.unitScales, (path, error) =>
      entitlements.report(path, 'key', `${path.join('.')}: ${error.message}`),
    )
    const budgets = buildBudgets(readEntitlements, settings.unitScales, (path, error) =>
      entitlements.report(path, 'value', `${path.join('.')}: ${error.message}`),
    )
    const rates = buildRates(readEntitlements)
    const webhooks = buildWebhooks(readEntitlements)
    const priceBook = buildPriceBook(readPrices, prices, shortHash([files.prices.text]), settings.upstreams)
    const version = shortHash([files.tollgate.text, files.entitlements.text, files.prices.text])
    const parts = { ...built, budgets, rates, webhooks, settings, priceBook }
    const warnings = findWarnings(parts, { tollgate, entitlements, prices })
    snapshot = Object.freeze({ version, generation, loadedAtMs: nowMs, ...parts, warnings })
  }
  if (snapshot && noProblems(tollgate, entitlements, prices)) return { snapshot }
  return { problems: [tollgate, entitlements, prices].flatMap(problemsOf) }
}

/** More than these in one file have one cause. */
const PROBLEMS_MAX = 200

function problemsOf(file: YamlFile): Problem[] {
  const sorted = file.problems.sort(byPosition)
  const next = sorted[PROBLEMS_MAX]
  if (next === undefined) return sorted
  const more = sorted.length - PROBLEMS_MAX
  return [...sorted.slice(0, PROBLEMS_MAX), { ...next, message: `${more} more problems from here on` }]
}

/** Where the hot files are, as far as tollgate.yaml can be read; what is wrong with it is parseConfig's to say. */
export function hotFilesOf(
  tollgate: SourceFile,
  environment: Environment,
): Pick<Settings, 'pricesFile' | 'entitlementsFile'> {
  const { value } = readFile(tollgate, environment)
  const path = (field: string, fallback: string): string => {
    const name = (value as Record<string, unknown> | undefined)?.[field]
    return resolve(dirname(tollgate.file), typeof name === 'string' && name !== '' ? name : fallback)
  }
  return { pricesFile: path('prices', 'price-book.yaml'), entitlementsFile: path('entitlements', 'entitlements.yaml') }
}

function readFile(source: SourceFile, environment: Environment): YamlFile {
  return new YamlFile(shownPath(source.file), source.text, environment)
}

function check<S extends z.ZodType>(
  file: YamlFile,
  schema: S,
  json: JsonSchema,
  value: unknown = file.value,
): z.output<S> | undefined {
  // A file that is not YAML has no fields to check.
  if (value === undefined) return undefined
  const result = schema.safeParse(value)
  if (result.success) return result.data
  describeIssues(file, result.error.issues, json)
  return undefined
}

function noProblems(...files: readonly YamlFile[]): boolean {
  return files.every((file) => file.problems.length === 0)
}

/** The two fields whose default is taken from the environment. */
function withEnvironmentDefaults(value: unknown, environment: Environment): unknown {
  if (!isMap(value)) return value
  const fill = (section: string, field: string, fallback: string) => {
    const fields = value[section] ?? (Object.hasOwn(value, section) ? null : {})
    if (!isMap(fields) || Object.hasOwn(fields, field)) return {}
    return { [section]: { ...fields, [field]: substitute(fallback, environment).text } }
  }
  return { ...value, ...fill('gateway', 'host', HOST_DEFAULT), ...fill('redis', 'url', REDIS_URL_DEFAULT) }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** First 12 hex digits of a SHA-256 over texts and their lengths. */
function shortHash(texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(texts.length === 1 ? '' : `${text.length}\n`).update(text)
  return hash.digest('hex').slice(0, 12)
}
