import { tryAgain } from './try-again.ts'

/** A program that calls models through the gateway, as any client of these APIs would. */
export interface Answer {
  readonly status: number
  /** A header of the answer, or '' where it has none. */
  header(name: string): string
  readonly requestId: string
  readonly text: string
  /** Of a JSON answer; of a stream undefined. */
  readonly json: unknown
  /** The data of a stream's events, in order, `[DONE]` left out. */
  readonly events: readonly Readonly<Record<string, unknown>>[]
  /** Comment lines of a stream, without the colon. */
  readonly comments: readonly string[]
}

export interface Question {
  readonly key: string
  readonly model: string
  readonly maxTokens: number
  /** Of the last message; what stands in [simulate: …] tells the simulator how to answer. */
  readonly text: string
  readonly stream?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

export class Customer {
  readonly #url: string

  constructor(gatewayUrl: string) {
    this.#url = gatewayUrl
  }

  /** `POST /v1/chat/completions`, as OpenAI's clients send it. */
  chat(question: Question): Promise<Answer> {
    const { key, model, maxTokens, text, stream = false, headers = {} } = question
    const messages = [{ role: 'user', content: text }]
    return this.#post(
      '/v1/chat/completions',
      { model, max_tokens: maxTokens, stream, messages },
      { authorization: `Bearer ${key}`, ...headers },
    )
  }

  /** `POST /v1/messages`, as Anthropic's clients send it. */
  messages(question: Question): Promise<Answer> {
    const { key, model, maxTokens, text, stream = false, headers = {} } = question
    const messages = [{ role: 'user', content: text }]
    return this.#post(
      '/v1/messages',
      { model, max_tokens: maxTokens, stream, messages },
      { 'x-api-key': key, 'anthropic-version': '2023-06-01', ...headers },
    )
  }

  async #post(path: string, body: unknown, headers: Readonly<Record<string, string>>): Promise<Answer> {
    const request = {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    }
    const response = await tryAgain(() => fetch(this.#url + path, request))
    return readAnswer(response, await response.text())
  }
}

function readAnswer(response: Response, text: string): Answer {
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false
  const lines = isStream ? text.split('\n') : []
  const data = lines.filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]')
  return {
    status: response.status,
    header: (name) => response.headers.get(name) ?? '',
    requestId: response.headers.get('x-tollgate-request-id') ?? '',
    text,
    json: isStream ? undefined : JSON.parse(text),
    events: data.map((line) => JSON.parse(line.slice('data: '.length)) as Record<string, unknown>),
    comments: lines.filter((line) => line.startsWith(':')).map((line) => line.slice(1).trim()),
  }
}
