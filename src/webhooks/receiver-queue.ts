/** The accounts whose events one receiver waits for: as many at once as it has connections, the longest waiting first. */
import type { Receiver } from '../config/snapshot.ts'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import { type DeliveryContext, deliverAccount } from './deliver-account.ts'
import { ReceiverHealth } from './receiver-health.ts'
import type { ReceiverStates } from './receiver-state.ts'

export interface QueueContext extends DeliveryContext {
  readonly states: ReceiverStates
  readonly connections: number
}

/** Read from the list in one go, and kept here at most. */
const DUE_AT_ONCE = 200

export class ReceiverQueue {
  readonly receiver: Receiver
  readonly health: ReceiverHealth
  readonly #context: QueueContext
  readonly #running = new Map<string, Promise<void>>()
  #due: string[] = []
  /** The list may have more than was read. */
  #more = false
  #looking: Promise<void> | undefined
  #stopped = false

  constructor(receiver: Receiver, context: QueueContext) {
    this.receiver = receiver
    this.#context = context
    this.health = new ReceiverHealth(receiver, context)
  }

  /** One look at the list: begins what there is room for; the rest follows by itself. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => this.#report(error))
      .finally(() => {
        this.#looking = undefined
      })
    return this.#looking
  }

  /** Lets go of what has not begun; what has is over soon. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#due = []
    await this.#looking
    await Promise.all(this.#running.values())
    await this.writeState().catch(() => {})
  }

  /** What this process has seen of it, for whoever asks. */
  writeState(): Promise<void> {
    return this.#context.states.write(this.receiver, this.health)
  }

  async #look(): Promise<void> {
    const { list, states, now } = this.#context
    await this.writeState()
    const gone = await states.isGone(this.receiver)
    if (!this.health.changed) this.health.gone = gone
    if (this.#stopped || this.#room() <= 0) return
    const found = await list.due(this.receiver.id, now(), DUE_AT_ONCE)
    this.#more = found.length >= DUE_AT_ONCE / 2
    // In no order among themselves: gateways that read the same list would else try for the same leases.
    this.#due = shuffled(found, this.#context.random)
    this.#fill()
  }

  #room(): number {
    return this.health.slots(this.#context.now(), this.#context.connections) - this.#running.size
  }

  #fill(): void {
    while (!this.#stopped && this.#room() > 0) {
      const account = this.#due.pop()
      if (account === undefined) break
      if (!this.#running.has(account)) this.#begin(account)
    }
    if (!this.#stopped && this.#due.length === 0 && this.#more && this.#room() > 0) void this.look()
  }

  #begin(account: string): void {
    const run = deliverAccount(this.#context, this.receiver, this.health, account)
      .catch((error: unknown) => this.#report(error, account))
      .finally(() => {
        this.#running.delete(account)
        this.#fill()
      })
    this.#running.set(account, run)
  }

  #report(error: unknown, account?: string): void {
    // With Redis away nothing more is begun until the next look; that it is away is said where the connection is watched.
    this.#due = []
    this.#more = false
    if (error instanceof WalletUnavailable) return
    const of = account === undefined ? {} : { account }
    this.#context.log.error(
      { error, receiver: this.health.name, ...of },
      'events were not delivered; they are tried again',
    )
  }
}

function shuffled(items: readonly string[], random: () => number): string[] {
  const left = [...items]
  for (let i = left.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const [a, b] = [left[i] as string, left[j] as string]
    left[i] = b
    left[j] = a
  }
  return left
}
