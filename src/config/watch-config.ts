import { type FSWatcher, realpathSync, statSync, watch } from 'node:fs'
import { dirname } from 'node:path'

/** One save by an editor raises several directory events; half-written files stand still for less. */
const QUIET_MS = 200
/** Directories on network and container mounts raise no events, and one that is replaced goes deaf. */
const LOOK_MS = 2000

export interface ConfigWatcher {
  close(): void
}

/**
 * Calls `onChange` when one of `files` is another than at the start or the last call, and has stood still for 200 ms.
 * Watches directories: a watch on a file goes deaf when an editor renames over it or Kubernetes swaps a link.
 */
export function watchConfig(files: readonly string[], onChange: () => Promise<unknown>): ConfigWatcher {
  return new DirectoryWatcher(files, onChange)
}

class DirectoryWatcher implements ConfigWatcher {
  private readonly files: readonly string[]
  private readonly onChange: () => Promise<unknown>
  private readonly watchers = new Map<string, FSWatcher>()
  private readonly looking: NodeJS.Timeout
  private quiet: NodeJS.Timeout | undefined
  private handled: string
  private seen: string
  private closed = false

  constructor(files: readonly string[], onChange: () => Promise<unknown>) {
    this.files = files
    this.onChange = onChange
    this.handled = this.state()
    this.seen = this.handled
    this.watchDirectories()
    this.looking = setInterval(() => this.look(), LOOK_MS).unref()
  }

  close(): void {
    this.closed = true
    clearInterval(this.looking)
    clearTimeout(this.quiet)
    for (const watcher of this.watchers.values()) watcher.close()
    this.watchers.clear()
  }

  private look(): void {
    this.watchDirectories()
    if (this.state() !== this.handled) this.waitForQuiet()
  }

  private readonly onEvent = (): void => {
    clearTimeout(this.quiet)
    this.quiet = undefined
    this.waitForQuiet()
  }

  private waitForQuiet(): void {
    if (this.closed || this.quiet) return
    this.quiet = setTimeout(() => {
      this.quiet = undefined
      this.afterQuiet()
    }, QUIET_MS).unref()
  }

  private afterQuiet(): void {
    const state = this.state()
    if (state !== this.seen) {
      this.seen = state
      this.waitForQuiet()
    } else if (state !== this.handled) {
      this.handled = state
      // The files may have moved on while they were read.
      void this.onChange().then(() => {
        if (!this.closed) this.look()
      })
    }
  }

  /** Identity, size and time of each file, links followed. */
  private state(): string {
    return this.files
      .map((file) => {
        try {
          const stats = statSync(file, { bigint: true })
          return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
        } catch (error) {
          return (error as NodeJS.ErrnoException).code ?? 'missing'
        }
      })
      .join(' ')
  }

  /** The directories of the files and of what they link to, as they are now. */
  private watchDirectories(): void {
    const wanted = new Set<string>()
    for (const file of this.files) {
      wanted.add(dirname(file))
      try {
        wanted.add(dirname(realpathSync(file)))
      } catch {
        // Missing for now: its directory is watched, or looked at again.
      }
    }
    for (const [directory, watcher] of this.watchers) {
      if (wanted.has(directory)) continue
      watcher.close()
      this.watchers.delete(directory)
    }
    for (const directory of wanted) if (!this.watchers.has(directory)) this.watchDirectory(directory)
  }

  private watchDirectory(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, this.onEvent)
      watcher.on('error', () => {
        watcher.close()
        this.watchers.delete(directory)
      })
      this.watchers.set(directory, watcher)
    } catch {
      // Not there, or no watches left: the look each two seconds serves.
    }
  }
}
