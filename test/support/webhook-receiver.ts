/** A receiver of webhooks: verifies each post by the library that its users have, and writes down what it took. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'

export const SECRET = `whsec_${Buffer.from('canary-of-the-webhook-secret-1').toString('base64')}`

export interface Posted {
  readonly id: string
  readonly type: string
  readonly timestamp: string
  readonly data: Readonly<Record<string, unknown>> & { readonly account: string; readonly seq: number }
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** What it answers: a status, or what it does with the response itself. */
type Behave = (posted: Posted) => number | ((response: ServerResponse) => void)

export interface WebhookReceiver {
  readonly url: string
  /** All that came, in order. */
  readonly posts: Posted[]
  /** Those that it answered 200. */
  readonly taken: Posted[]
  behave: Behave
  close(): Promise<void>
}

interface ReceiverOptions {
  /** Default: a free one. */
  readonly port?: number
  readonly behave?: Behave
  /** Keeps no headers and bodies, for tests that measure memory. */
  readonly brief?: boolean
}

export async function startReceiver(options: ReceiverOptions = {}): Promise<WebhookReceiver> {
  const posts: Posted[] = []
  const taken: Posted[] = []
  const webhook = new Webhook(SECRET)
  const server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => {
      body += chunk
    })
    request.on('end', () => {
      const parts = webhook.verify(body, request.headers as Record<string, string>) as Omit<Posted, 'id'>
      const whole = options.brief ? { headers: {}, body: '' } : { headers: request.headers, body }
      const posted = { ...parts, id: String(request.headers['webhook-id']), ...whole }
      posts.push(posted)
      const answer = receiver.behave(posted)
      if (typeof answer === 'function') return answer(response)
      if (answer < 300) taken.push(posted)
      response.writeHead(answer).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    posts,
    taken,
    behave: options.behave ?? (() => 200),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return receiver
}

/** Sequences that were taken of an account, each once, in the order of their first time. */
export function takenOf(receiver: WebhookReceiver, account: string): number[] {
  return [...new Set(receiver.taken.filter(({ data }) => data.account === account).map(({ data }) => data.seq))]
}
