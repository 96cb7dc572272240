/** `tollgate export`: the ledger of all accounts, from Redis and from the export alike; and the check of exported books. */
import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BooksHead } from '../books/books-heads.ts'
import { type VerifiedAccount, verifyBooks } from '../books/verify.ts'
import { loadConfigFiles } from '../config/load-config.ts'
import { parseConfig } from '../config/parse-config.ts'
import { type AdminClient, part } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import { EXPORT_FORMATS, type ExportFormat } from './export-formats.ts'
import type { LedgerRow } from './ledger-rows.ts'
import { type AccountJson, type Output, printJson } from './read-commands.ts'
import { type TimeOptions, timeRange } from './time-range.ts'

export interface ExportOptions extends TimeOptions {
  readonly format?: string
  readonly account?: string
  readonly issuer?: string
}

export async function exportCommand(
  admin: AdminClient,
  options: ExportOptions,
  output: Output,
  note: (text: string) => void,
): Promise<void> {
  let leftOut = 0
  const format = formatOf(options.format ?? 'jsonl')
  const range = timeRange(options, Date.now())
  if (format.head !== undefined) output.print(format.head)
  for await (const account of accountsOf(admin, options.account)) {
    const write = format.writer(account, options.issuer ?? 'Tollgate')
    for await (const page of admin.pages<LedgerRow>(`accounts/${part(account)}/ledger`)) {
      let text = ''
      for (const row of page) {
        const line = write(row)
        const atMs = Date.parse(row.at)
        if (atMs < range.sinceMs || atMs >= range.untilMs) continue
        text += line ?? ''
        if (line === undefined) leftOut++
      }
      if (text !== '') output.print(text)
    }
  }
  if (leftOut > 0)
    note(`${leftOut} charges left out: they are in units that are no currency, and have no form in ${options.format}\n`)
}

function formatOf(name: string): ExportFormat {
  const format = Object.hasOwn(EXPORT_FORMATS, name) ? EXPORT_FORMATS[name] : undefined
  if (format !== undefined) return format
  throw new CliError(`--format: "${name}" is none of ${Object.keys(EXPORT_FORMATS).join(', ')}`, 2)
}

async function* accountsOf(admin: AdminClient, account: string | undefined): AsyncGenerator<string> {
  if (account !== undefined) {
    yield account
    return
  }
  for await (const page of admin.pages<AccountJson>('accounts')) for (const { id } of page) yield id
}

export interface VerifyOptions {
  readonly config: string
  readonly path?: string
  readonly account?: string
}

/**
 * Answers the exit code: 1 where something in the books is not as it was written. Where a gateway answers, its Redis says
 * how far they go; a directory that is named by itself is a copy, which may be older than that.
 */
export async function verifyCommand(
  admin: AdminClient,
  options: VerifyOptions,
  env: NodeJS.ProcessEnv,
  output: Output,
  note: (text: string) => void,
): Promise<0 | 1> {
  const checked: VerifiedAccount[] = []
  const places = await placesOf(options, env)
  const heads = options.path === undefined ? await knownHeads(admin, options.account, note) : undefined
  for (const path of places) {
    const found = await stat(path).catch(() => undefined)
    if (!found?.isDirectory()) throw new CliError(`${path} is no directory of books: nothing was exported there`)
    const known =
      heads && new Map(heads.filter(({ books }) => books === idOf(path)).map((head) => [head.account, head]))
    for await (const account of verifyBooks(path, options.account, known)) {
      checked.push(account)
      if (account.problem !== undefined && !output.json) output.print(`${account.problem}\n`)
    }
  }
  const broken = checked.filter(({ problem }) => problem !== undefined).length
  if (output.json) printJson(output, checked)
  else output.print(summary(checked, broken, heads !== undefined))
  return broken > 0 ? 1 : 0
}

/** undefined, with a note: no gateway says it. */
async function knownHeads(
  admin: AdminClient,
  account: string | undefined,
  note: (text: string) => void,
): Promise<readonly BooksHead[] | undefined> {
  const heads: BooksHead[] = []
  try {
    for await (const page of admin.pages<BooksHead>('books', { account })) heads.push(...page)
    return heads
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    note(`Not compared with Redis, so that last lines that are missing do not show: ${error.message}\n`)
    return undefined
  }
}

function idOf(path: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(join(path, 'books.json'), 'utf8')) as { readonly books?: string }).books
  } catch {
    return undefined
  }
}

function summary(checked: readonly VerifiedAccount[], broken: number, compared: boolean): string {
  const entries = checked.reduce((sum, account) => sum + account.entries, 0)
  const counted = `${entries} ${entries === 1 ? 'entry' : 'entries'} of ${checked.length} ${checked.length === 1 ? 'account' : 'accounts'}`
  const end = compared ? ', and none is missing that Redis knows of' : ''
  if (broken === 0) return `Verified ${counted}: each is what was written, in one chain${end}.\n`
  return `${counted} read; the books of ${broken} of them are not what was written: the first place of each is above.\n`
}

async function placesOf({ path, config }: VerifyOptions, env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  if (path !== undefined) return [path]
  const loaded = await loadConfigFiles(config, env)
  const parsed = 'problems' in loaded ? loaded : parseConfig(loaded.files, env)
  if (!('snapshot' in parsed) || !parsed.snapshot) {
    throw new CliError(`${config} is not valid: "tollgate validate" says why; --path names a directory of books`)
  }
  const { books } = parsed.snapshot.settings.ledger
  if (books.length === 0) throw new CliError(`${config} exports nothing: ledger.export names no directory of books`)
  return books.map((place) => place.path)
}
