/**
 * Hears what is published on one channel, by a connection of its own (one that listens can do nothing else). Messages
 * that come while it is not connected are lost: whoever counts on them is told. It connects again for ever.
 */
import { type ConnectOptions, openConnection } from './client.ts'

const PING_MS = 500

export interface SubscriptionOptions {
  readonly connect: Pick<ConnectOptions, 'url' | 'connectMs' | 'commandMs'>
  readonly channel: string
  readonly onMessage: (message: string) => void
  /** Messages are, or may have been, lost. Also each time it listens again. */
  readonly onGap: () => void
}

export class Subscription {
  readonly #options: SubscriptionOptions
  readonly #redis: ReturnType<typeof openConnection>
  readonly #pinger: NodeJS.Timeout
  #listens = false
  #pinged = false

  constructor(options: SubscriptionOptions) {
    this.#options = options
    this.#redis = openConnection(options.connect)
    this.#redis.on('ready', () => this.#listen())
    this.#redis.on('close', () => this.#lost())
    // Redis being away is said by the connection that calls use.
    this.#redis.on('error', () => {})
    this.#redis.on('message', (_channel: string, message: string) => options.onMessage(message))
    // A connection that swallows everything looks alive to TCP for minutes.
    this.#pinger = setInterval(() => this.#ping(), PING_MS).unref()
  }

  /** Whether messages are heard at this moment, as far as can be known. */
  get listens(): boolean {
    return this.#listens
  }

  close(): void {
    clearInterval(this.#pinger)
    this.#listens = false
    this.#redis.disconnect()
  }

  #listen(): void {
    this.#redis.subscribe(this.#options.channel).then(
      () => {
        this.#pinged = false
        this.#options.onGap()
        this.#listens = true
      },
      // The connection broke, or the server does not publish: it is tried again with the next connection.
      () => {},
    )
  }

  #lost(): void {
    this.#listens = false
    this.#options.onGap()
  }

  #ping(): void {
    if (!this.#listens) return
    if (this.#pinged) {
      this.#pinged = false
      this.#lost()
      this.#redis.disconnect(true)
      return
    }
    this.#pinged = true
    this.#redis.ping().then(
      () => {
        this.#pinged = false
      },
      () => {},
    )
  }
}
