import { cutShort, maybeMeant } from './cut-short.ts'
import { loadConfigFiles, loadFile, loadHotFiles, tooLarge } from './load-config.ts'
import type { ConfigFiles, SourceFile } from './parse-config.ts'
import { parseConfigApart } from './parse-in-worker.ts'
import { formatProblem, type Problem, shownPath } from './problem.ts'
import { FILE_BYTES_MAX } from './read-yaml.ts'
import type { Snapshot } from './snapshot.ts'
import type { Environment } from './substitute.ts'
import { type ConfigWatcher, watchConfig } from './watch-config.ts'

export interface ReloadResult {
  readonly result: 'applied' | 'unchanged' | 'rejected'
  /** Of what is in force now. */
  readonly version: string
  /** Why it was rejected. */
  readonly problems: readonly Problem[]
  /** What else to know, such as a changed tollgate.yaml that needs a restart. */
  readonly notes: readonly string[]
}

/** The three texts of a config to look at; one left out is the one in force. */
export interface ConfigTexts {
  readonly tollgate?: string
  readonly entitlements?: string
  readonly prices?: string
}

export interface ConfigStore {
  /** What calls that start now go by. */
  current(): Snapshot
  /** Reads the hot files and puts them in force, both or neither. Calls at the same time share one reading. */
  reload(): Promise<ReloadResult>
  /** Hears of every reload, the watcher's too; answers how to stop. */
  onReload(listener: (result: ReloadResult) => void): () => void
  /** Reloads by itself when a file has changed and stood still. */
  watch(): void
  /** What a reload with these texts would say; changes nothing. */
  validateTexts(texts: ConfigTexts): Promise<{ problems: readonly Problem[]; warnings: readonly string[] }>
  close(): void
}

/** A config that cannot be started with. The message has one line for each problem. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[]
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** At the start nothing waits, so that only what takes seconds is worth a thread. */
const START_CHARACTERS = 512 * 1024

/** Reads the config that `file` (a tollgate.yaml) begins. Throws ConfigError with every problem of all three files. */
export async function openConfigStore(file: string, environment: Environment): Promise<ConfigStore> {
  const loaded = await loadConfigFiles(file, environment)
  if ('problems' in loaded) throw new ConfigError(loaded.problems)
  const job = { files: loaded.files, environment, generation: 1, nowMs: Date.now() }
  const parsed = await parseConfigApart(job, START_CHARACTERS)
  if (!parsed.snapshot) throw new ConfigError(parsed.problems)
  return new FileConfigStore(loaded.files, parsed.snapshot, environment)
}

/** How long a file that lacks lines at its end must stand still before it is taken for an edit. */
const DOUBT_MS = 2_000

type HotFiles = Pick<ConfigFiles, 'entitlements' | 'prices'>

class FileConfigStore implements ConfigStore {
  private doubted: { readonly texts: string; readonly sinceMs: number } | undefined
  private snapshot: Snapshot
  private files: ConfigFiles
  private readonly environment: Environment
  private readonly listeners = new Set<(result: ReloadResult) => void>()
  private running: Promise<ReloadResult> | undefined
  private queued: Promise<ReloadResult> | undefined
  private watcher: ConfigWatcher | undefined

  constructor(files: ConfigFiles, snapshot: Snapshot, environment: Environment) {
    this.files = files
    this.snapshot = snapshot
    this.environment = { ...environment }
  }

  current(): Snapshot {
    return this.snapshot
  }

  reload(): Promise<ReloadResult> {
    return this.enqueue(false)
  }

  onReload(listener: (result: ReloadResult) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  watch(): void {
    const { file, entitlementsFile, pricesFile } = this.snapshot.settings
    this.watcher ??= watchConfig([file, entitlementsFile, pricesFile], () => this.enqueue(true))
  }

  close(): void {
    this.watcher?.close()
    this.watcher = undefined
    this.listeners.clear()
  }

  async validateTexts(texts: ConfigTexts): Promise<{ problems: readonly Problem[]; warnings: readonly string[] }> {
    const files = {
      tollgate: replaceText(this.files.tollgate, texts.tollgate),
      entitlements: replaceText(this.files.entitlements, texts.entitlements),
      prices: replaceText(this.files.prices, texts.prices),
    }
    const problems = Object.values(files).flatMap(({ file, text }) => {
      const bytes = Buffer.byteLength(text)
      return bytes > FILE_BYTES_MAX ? [{ file: shownPath(file), line: 1, column: 1, message: tooLarge(bytes) }] : []
    })
    if (problems.length > 0) return { problems, warnings: [] }
    const parsed = await parseConfigApart({ files, environment: this.environment, generation: 0, nowMs: Date.now() })
    return { problems: parsed.problems ?? [], warnings: parsed.snapshot?.warnings ?? [] }
  }

  /** A reading that has begun may have missed the edit it is asked for: the next one sees it, and one is enough. */
  private enqueue(unattended: boolean): Promise<ReloadResult> {
    if (!this.running) return this.run(unattended)
    this.queued ??= this.running
      .catch(() => undefined)
      .then(() => {
        this.queued = undefined
        return this.run(unattended)
      })
    return this.queued
  }

  private run(unattended: boolean): Promise<ReloadResult> {
    this.running = this.readAndSwap(unattended)
      .catch((error: unknown) => this.failed(error))
      .finally(() => {
        this.running = undefined
      })
      .then((result) => {
        for (const listener of this.listeners) listener(result)
        return result
      })
    return this.running
  }

  /** A fault of ours or of the machine, such as a thread that cannot be started: what is in force stays. */
  private failed(error: unknown): ReloadResult {
    const message = `could not be read: ${error instanceof Error ? error.message : String(error)}`
    const problem = { file: shownPath(this.files.entitlements.file), line: 1, column: 1, message }
    return { result: 'rejected', version: this.snapshot.version, problems: [problem], notes: [] }
  }

  private async readAndSwap(unattended: boolean): Promise<ReloadResult> {
    const { tollgate, entitlements, prices } = this.files
    const notes = await this.notesOnSettings()
    const answer = (result: ReloadResult['result'], problems: readonly Problem[] = []): ReloadResult => ({
      result,
      version: this.snapshot.version,
      problems,
      notes,
    })
    const loaded = await loadHotFiles(tollgate, entitlements.file, prices.file)
    if ('problems' in loaded) return answer('rejected', loaded.problems)
    const { files } = loaded
    if (files.entitlements.text === entitlements.text && files.prices.text === prices.text) return answer('unchanged')
    if (unattended) {
      const cut = [cutShort(entitlements, files.entitlements), cutShort(prices, files.prices)].flat()
      if (cut.length > 0 && !this.mayBeMeant(files)) return answer('rejected', cut)
      if (cut.length > 0 && !this.stoodStill(files)) return answer('unchanged')
    }

    const generation = this.snapshot.generation + 1
    const parsed = await parseConfigApart({ files, environment: this.environment, generation, nowMs: Date.now() })
    if (!parsed.snapshot) return answer('rejected', parsed.problems)
    this.files = files
    this.snapshot = Object.freeze({ ...parsed.snapshot, settings: this.snapshot.settings })
    return answer('applied')
  }

  private mayBeMeant(files: HotFiles): boolean {
    const { entitlements, prices } = this.files
    return [
      [entitlements, files.entitlements],
      [prices, files.prices],
    ].every(([inForce, read]) => inForce?.text === read?.text || maybeMeant(inForce as SourceFile, read as SourceFile))
  }

  /** Whether these texts were there before and DOUBT_MS ago; looks again by then where they were not. */
  private stoodStill(files: HotFiles): boolean {
    const texts = `${files.entitlements.text}\0${files.prices.text}`
    const nowMs = performance.now()
    if (this.doubted?.texts !== texts) {
      this.doubted = { texts, sinceMs: nowMs }
      setTimeout(() => {
        if (this.watcher) void this.enqueue(true)
      }, DOUBT_MS).unref()
      return false
    }
    return nowMs - this.doubted.sinceMs >= DOUBT_MS - 50
  }

  private async notesOnSettings(): Promise<string[]> {
    const shown = shownPath(this.files.tollgate.file)
    const read = await loadFile(this.files.tollgate.file)
    if ('problem' in read) return [`${formatProblem(read.problem)}; the settings read at start stay in force`]
    return read.text === this.files.tollgate.text ? [] : [`${shown} has changed; that needs a restart`]
  }
}

function replaceText(source: SourceFile, text: string | undefined): SourceFile {
  return text === undefined ? source : { file: source.file, text }
}
