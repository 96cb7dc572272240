/** A gateway before a simulated Google, and the official client in each way it can be set up. */
import { type GenerateContentResponse, GoogleGenAI } from '@google/genai'
import { OAuth2Client } from 'google-auth-library'
import { sha256, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { Charges, nonZero, PRICES } from './charged-call.ts'

export const MODEL = 'gemini-2.5-flash'
const UPSTREAMS = `  gemini: { format: gemini, base_url: "{simulator}", api_key: AIza-upstream-secret, models: ["gemini-*", "imagen-*"] }
  vertex: { format: vertex, base_url: "{simulator}", api_key: ya29-upstream-secret, models: ["*"] }`
const ACCOUNTS = ['acme', 'other', 'poor', 'sliced', 'cuterror', 'small', 'capped', 'waiting', 'searching']
const PLANS: Readonly<Record<string, string>> = { sliced: 'sliced', cuterror: 'cuterror', capped: 'capped' }
const ENTITLEMENTS = `version: 1
plans:
  main: { unit: USD, models: ["gemini-*", "imagen-*", "text-embedding-*", "claude-*"] }
  capped: { unit: USD, max_output_tokens: 20 }
  sliced: { unit: USD, streaming: { slice_tokens: 200, on_cut: finish } }
  cuterror: { unit: USD, streaming: { slice_tokens: 200, on_cut: error } }
accounts:
${ACCOUNTS.map((name) => `  ${name}: { plan: ${PLANS[name] ?? 'main'}, keys: [ { id: k, sha256: "${sha256(`key-${name}`)}" } ] }`).join('\n')}
`

/** What caches store is billed by the hour: they are made only where the config says so. */
export const CACHES: readonly string[] = ['GET /v1/models*', 'POST /*/cachedContents', 'PATCH /*/cachedContents/*']

/** Account `acme` has money; the others what a test gives them. Keys are `key-NAME`. */
export async function startGoogleGateway(unmetered: readonly string[] = CACHES): Promise<TestGateway> {
  const gateway = await startTestGateway({
    entitlements: ENTITLEMENTS,
    upstreams: UPSTREAMS,
    settings: `limits: { poll_first: 100ms, poll_most: 200ms }
metering: { unmetered_paths: ${JSON.stringify(unmetered)} }`,
    prices: `
  - { match: { model: "imagen-*" }, from: 2020-01-01, per_unit: { images: "0.04" } }
  - match: { model: "*", account: searching }
    from: 2020-01-01
    per_million: { input: "2.00", output: "8.00" }
    per_unit: { web_search: "0.035" }
    context_window: 128000
${PRICES}`,
  })
  await gateway.grant('20')
  return gateway
}

export interface Client {
  readonly ai: GoogleGenAI
  /** Straight to the provider: what it says there it must say through the gateway. */
  readonly direct: GoogleGenAI
}

/** By the API that the client speaks; each is given the gateway and the account. */
export const CLIENTS: Readonly<Record<string, (gateway: TestGateway, account: string) => Client>> = {
  'the Gemini API': (gateway, account) => ({
    ai: new GoogleGenAI({ apiKey: `key-${account}`, httpOptions: { baseUrl: gateway.url } }),
    direct: new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: gateway.simulator.url } }),
  }),
  'Vertex AI': (gateway, account) => ({
    ai: vertexClient(gateway.url, `key-${account}`),
    direct: vertexClient(gateway.simulator.url, 'k'),
  }),
  'Vertex AI with an API key': (gateway, account) => ({
    ai: new GoogleGenAI({ vertexai: true, apiKey: `key-${account}`, httpOptions: { baseUrl: gateway.url } }),
    direct: new GoogleGenAI({ vertexai: true, apiKey: 'k', httpOptions: { baseUrl: gateway.simulator.url } }),
  }),
}

/** As application default credentials do it: a bearer token in place of an API key. */
export function vertexClient(baseUrl: string, token: string): GoogleGenAI {
  const authClient = new OAuth2Client()
  authClient.setCredentials({ access_token: token, expiry_date: Date.now() + 3_600_000 })
  return new GoogleGenAI({
    vertexai: true,
    project: 'p',
    location: 'us-central1',
    httpOptions: { baseUrl },
    googleAuthOptions: { authClient: authClient as never },
  })
}

export function geminiClient(gateway: TestGateway, account: string): GoogleGenAI {
  return new GoogleGenAI({ apiKey: `key-${account}`, httpOptions: { baseUrl: gateway.url } })
}

/** The account's charges from here on. */
export async function chargesOf(gateway: TestGateway, account: string): Promise<Charges> {
  const charges = new Charges(gateway, account)
  while (!(await charges.none())) await charges.next()
  return charges
}

export function tokensOf({ usageMetadata: usage }: GenerateContentResponse): Record<string, number> {
  return nonZero({
    input:
      (usage?.promptTokenCount ?? 0) - (usage?.cachedContentTokenCount ?? 0) + (usage?.toolUsePromptTokenCount ?? 0),
    cached_input: usage?.cachedContentTokenCount ?? 0,
    output: (usage?.candidatesTokenCount ?? 0) + (usage?.thoughtsTokenCount ?? 0),
  })
}

export async function gathered(stream: AsyncIterable<GenerateContentResponse>) {
  const chunks: GenerateContentResponse[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return {
    chunks,
    last: chunks.at(-1) as GenerateContentResponse,
    text: chunks.map((chunk) => chunk.text ?? '').join(''),
  }
}

export async function failureOf(
  promise: Promise<unknown>,
): Promise<{ readonly error: unknown; readonly body: ErrorBody }> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  )
  return { error, body: bodyOf(error) }
}

export interface ErrorBody {
  readonly error: {
    readonly code: number
    readonly status: string
    readonly message: string
    readonly details: readonly Record<string, unknown>[]
    readonly tollgate: Record<string, unknown>
  }
}

/** The client puts the body it got into the message. */
function bodyOf(error: unknown): ErrorBody {
  const message = (error as Error).message
  return JSON.parse(message.slice(message.indexOf('{'))) as ErrorBody
}
