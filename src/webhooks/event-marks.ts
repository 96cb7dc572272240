/**
 * Notes in Redis which accounts have events, in each process that runs scripts. An event is in the account's own keys when
 * this hears of it, and the next answer of a script says so again: what is lost here is late, not lost.
 */
import type { Log } from '../log.ts'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import { type HandOverContext, handOver, receiversOf } from './hand-over.ts'

export interface EventMarksOptions extends HandOverContext {
  readonly log: Log
}

const FLUSH_MS = 50
/** An account whose events wait says so with each answer: one write a second is enough. */
const AGAIN_MS = 1_000
/** What goes beyond is said again by a later answer. */
const ACCOUNTS_MAX = 50_000

export class EventMarks {
  /** The marks are written: this process may deliver at once. */
  onMarked: (() => void) | undefined
  readonly #options: EventMarksOptions
  readonly #fresh = new Set<string>()
  /** When accounts were last marked, for a second. */
  readonly #marked = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #flushing: Promise<void> | undefined

  constructor(options: EventMarksOptions) {
    this.#options = options
  }

  /** Events of this account wait. No await, no round trip of its own. */
  add(account: string): void {
    if (this.#fresh.size >= ACCOUNTS_MAX) return
    this.#fresh.add(account)
    this.#timer ??= setTimeout(() => this.#tick(), FLUSH_MS).unref()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#flushing
    this.#marked.clear()
    await this.#flush()
  }

  #tick(): void {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined
      this.#timer = this.#fresh.size > 0 ? setTimeout(() => this.#tick(), FLUSH_MS).unref() : undefined
    })
  }

  async #flush(): Promise<void> {
    const nowMs = this.#options.now()
    for (const [account, atMs] of this.#marked) if (atMs <= nowMs - AGAIN_MS) this.#marked.delete(account)
    const accounts = [...this.#fresh].filter((account) => !this.#marked.has(account))
    if (accounts.length === 0) return
    for (const account of accounts) {
      this.#fresh.delete(account)
      this.#marked.set(account, nowMs)
    }
    try {
      await this.#write(accounts, nowMs)
      this.onMarked?.()
    } catch (error) {
      for (const account of accounts) this.#again(account)
      if (!(error instanceof WalletUnavailable))
        this.#options.log.error({ error }, 'accounts with events were not listed; they are again in a second')
    }
  }

  /** At the next flush but one second from now at the earliest. */
  #again(account: string): void {
    if (this.#fresh.size < ACCOUNTS_MAX) this.#fresh.add(account)
  }

  async #write(accounts: readonly string[], nowMs: number): Promise<void> {
    const byReceiver = new Map<string, string[]>()
    for (const account of accounts) {
      const receivers = receiversOf(this.#options.snapshot(), account)
      if (receivers.length === 0) await handOver(this.#options, account)
      for (const { id } of receivers) byReceiver.set(id, [...(byReceiver.get(id) ?? []), account])
    }
    for (const [id, marked] of byReceiver) await this.#options.list.mark(id, marked, nowMs)
  }
}
