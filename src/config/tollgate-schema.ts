/** config/tollgate.yaml: the one source of its checks, its defaults and its JSON Schema. */
import * as z from 'zod'
import {
  decimal,
  duration,
  FieldError,
  field,
  flag,
  glob,
  httpUrl,
  integer,
  later,
  name,
  oneOf,
  sha256,
  text,
  unitName,
} from './fields.ts'
import { jwtIssuer } from './jwt-schema.ts'
import { bytes, count, DAY, HOUR, limits, MIB } from './limits-schema.ts'

/** Defaults that are taken from the environment, as a file would have them. */
export const HOST_DEFAULT = `\${TOLLGATE_HOST:-127.0.0.1}`
export const REDIS_URL_DEFAULT = `\${REDIS_URL:-}`

const FORMATS = ['openai', 'anthropic', 'gemini', 'vertex', 'bedrock', 'cohere', 'ollama'] as const
const AUTHS = ['bearer', 'api-key', 'x-api-key', 'x-goog-api-key', 'none'] as const

/** Forms of `auth` that need more than a header, by the member that names them. */
const AUTH_FORMS = {
  sigv4: z.strictObject({
    sigv4: z.strictObject({
      region: text('an AWS region').describe('region that requests are signed for'),
      service: text('a service').describe('service that requests are signed for').prefault('bedrock'),
    }),
  }),
  gcp: z.strictObject({ gcp: oneOf(['adc']).describe('Google’s application default credentials') }),
  command: z.strictObject({
    command: z.array(text('a word')).min(1, 'needs the program to run').describe('program and arguments'),
    refresh: duration(1000, DAY).describe('age at which the token is asked for anew').prefault('50m'),
  }),
} as const
type AuthForm = { [name in keyof typeof AUTH_FORMS]: z.output<(typeof AUTH_FORMS)[name]> }[keyof typeof AUTH_FORMS]

const AUTH_JSON = {
  anyOf: [{ enum: AUTHS }, ...Object.values(AUTH_FORMS).map((form) => z.toJSONSchema(form, { io: 'input' }))],
}

/** How the key is sent: a word, or a form that says what it is by its one member. */
const auth = field(AUTH_JSON, (value): (typeof AUTHS)[number] | AuthForm => {
  const word = AUTHS.find((candidate) => candidate === value)
  if (word !== undefined) return word
  const forms = '{ sigv4: { region } }, { gcp: adc }, { command: […] }'
  if (typeof value !== 'object' || value === null)
    throw new FieldError(`%v is not one of ${AUTHS.join(', ')}, ${forms}`)
  const name = (Object.keys(AUTH_FORMS) as (keyof typeof AUTH_FORMS)[]).find((form) => form in value)
  if (name === undefined) throw new FieldError(`is none of ${forms}`)
  const read = AUTH_FORMS[name].safeParse(value)
  if (read.success) return read.data
  const issue = read.error.issues[0]
  const path = issue?.path.join('.') ?? ''
  throw new FieldError(
    `${path === '' ? '' : `${path}: `}${(issue?.message ?? 'is not right').replaceAll('%v', 'the value')}`,
  )
})

const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/

/** Headers that the gateway sets itself, or that frame the message. */
const OWN_HEADERS =
  /^(authorization|api-key|x-api-key|x-goog-api-key|host|connection|content-length|content-encoding|transfer-encoding|te|trailer|upgrade|keep-alive|proxy-.*|x-tollgate-.*)$/i

const upstream = z.strictObject({
  format: oneOf(FORMATS).describe('the API it speaks'),
  base_url: httpUrl(true).describe('origin and path prefix'),
  api_key: text('a key').describe('our own key there; sent as `auth` says').prefault(''),
  models: z
    .array(glob())
    .describe('models it serves, as globs; [] makes it reachable by /u/NAME/… alone')
    .prefault(['*']),
  auth: auth
    .describe(
      'how the key is sent; default by format: bearer (api-key at Azure’s hosts), x-api-key for anthropic, x-goog-api-key for gemini; without an api_key: gcp: adc for vertex, sigv4 for bedrock at AWS’s hosts, none for ollama. { sigv4: { region } } signs each request with AWS’s default provider chain or an api_key ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]; { gcp: adc } sends a token of Google’s default credentials; { command: […], refresh } the token that a program prints, run without a shell, at most 30 s',
    )
    .optional(),
  headers: z
    .record(
      z
        .string()
        .regex(headerName, 'is no header name')
        .refine((header) => !OWN_HEADERS.test(header), 'is set by the gateway itself; leave it out'),
      text('a header value'),
    )
    .describe('further headers sent to it')
    .prefault({}),
  shared: flag().describe('objects that no account made through the gateway may be used by all').prefault(false),
  on_disconnect: z
    .strictObject({
      mode: oneOf(['drain', 'cancel'])
        .describe('drain: read on and charge what was used; cancel: close at once')
        .prefault('drain'),
      max_seconds: integer(0, 86_400).describe('longest drain, in seconds').prefault(30),
    })
    .describe('what happens to a call whose client has gone')
    .prefault({}),
  on_no_answer: oneOf(['void', 'floor'])
    .describe('what a call costs that the upstream never answered: nothing, or its input')
    .prefault('void'),
  missing_usage: oneOf(['estimate', 'keep_hold', 'deny_model'])
    .describe(
      'what an answer without usage costs: an estimate, the whole hold, or an estimate after which the model is refused',
    )
    .prefault('estimate'),
  charge_by: oneOf(['ours', 'provider'])
    .describe('which price counts where the provider states its own')
    .prefault('ours'),
  output_limit_param: oneOf(['max_tokens', 'max_completion_tokens', 'max_output_tokens'])
    .describe('parameter that a limit is written as where the caller names none; default by format and host')
    .optional(),
  ask_for_usage: flag()
    .describe(
      'whether streams of format openai are asked for their usage (stream_options) where the caller does not; default by host: not where it is refused (mistral.ai)',
    )
    .optional(),
})

const workers = field(
  { anyOf: [{ type: 'integer', minimum: 1, maximum: 512 }, { const: 'auto' }, { type: 'string', pattern: '\\$\\{' }] },
  (value) => {
    if (value === 'auto') return 'auto' as const
    const number = typeof value === 'string' && /^\d{1,4}$/.test(value) ? Number(value) : value
    if (typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= 512) return number
    throw new FieldError('%v is no number of workers; from 1 to 512, or auto')
  },
)

const redisUrl = field({ type: 'string' }, (value) => {
  const string = typeof value === 'string' ? value : ''
  const known = value === '' || /^(rediss?:\/\/|unix:|\/|\.\.?\/)/.test(string)
  if (!known || (/^rediss?:/.test(string) && !URL.canParse(string))) {
    throw new FieldError(
      'is no Redis address; write redis://host:port, rediss://…, the path of a unix socket, or "" for the embedded one',
    )
  }
  return string
})

const unmeteredPath = field({ type: 'string', pattern: '^([A-Z]+|\\*) /' }, (value) => {
  const match = typeof value === 'string' ? /^([A-Z]{1,16}|\*) (\/\S{0,255})$/.exec(value) : null
  if (!match) throw new FieldError('%v is no unmetered path; write it like "GET /v1/models/*"')
  return { method: match[1] ?? '', path: match[2] ?? '' }
})

const runHeader = field({ type: 'string' }, (value) => {
  if (typeof value !== 'string' || !headerName.test(value)) throw new FieldError('%v is no header name')
  if (OWN_HEADERS.test(value)) throw new FieldError('%v cannot name a run; take a header that clients set for it')
  return value.toLowerCase()
})

const port = (fallback: number) => integer(0, 65_535).describe('0: any free one').prefault(fallback)

export const tollgateSchema = z
  .strictObject({
    version: integer(1, 1).describe('version of this file’s form').prefault(1),
    gateway: z
      .strictObject({
        host: text('an address').describe('address that clients reach').prefault(HOST_DEFAULT),
        port: port(8080),
        workers: workers.describe('processes; auto: one for each core').prefault(1),
      })
      .describe('the port that clients call')
      .prefault({}),
    admin: z
      .strictObject({
        host: text('an address')
          .describe('address of the admin API; another than loopback needs tokens and insecure: true')
          .prefault('127.0.0.1'),
        port: port(9090),
        tokens: z
          .array(
            z.strictObject({
              name: name('token name').describe('the actor that the ledger names'),
              sha256: sha256().describe('SHA-256 of the token, in hex'),
              role: oneOf(['viewer', 'finance', 'operator']).describe('viewer < finance (money) < operator (all)'),
            }),
          )
          .describe('bearer tokens; none: one is made at each start and printed')
          .prefault([]),
        insecure: flag().describe('plain HTTP on an address other than loopback').prefault(false),
      })
      .describe('the port of the admin API, of health checks and metrics')
      .prefault({}),
    redis: z
      .strictObject({
        url: redisUrl
          .describe('redis://, rediss:// or a unix path; empty: an embedded server')
          .prefault(REDIS_URL_DEFAULT),
        expect_existing: flag().describe('an empty Redis is an error until it is adopted').prefault(false),
        sentinel: later(z.strictObject({}).loose()).describe('Redis Sentinel'),
        cluster: later(z.array(z.string())).describe('Redis Cluster'),
        durability: later(z.strictObject({}).loose(), { holds: 'none', money_in: 'none' }, {}).describe(
          'replicas waited for',
        ),
      })
      .describe('where the wallets live')
      .prefault({}),
    data_dir: text('a path').describe('outbox, exports, embedded Redis').prefault('./data'),
    prices: text('a path').describe('the price book').prefault('price-book.yaml'),
    entitlements: text('a path').describe('plans, accounts, keys').prefault('entitlements.yaml'),
    units: z
      .record(
        z
          .string()
          .refine(
            (unit) => unitName().safeParse(unit).success,
            'is no unit of money; write an ISO 4217 code like USD or a name like credits',
          ),
        z.strictObject({ scale: integer(0, 12).describe('decimals kept; fixed once a wallet of the unit exists') }),
      )
      .describe('decimals kept of a unit; 9 where it is not named')
      .prefault({}),
    upstreams: z
      .record(
        z
          .string()
          .regex(
            /^[A-Za-z0-9._:@+-]{1,128}$/,
            'is no upstream name; use letters, digits and . _ : @ + - (at most 128)',
          ),
        upstream,
      )
      .describe('providers by name')
      .prefault({}),
    metering: z
      .strictObject({
        unpriced_model: oneOf(['deny', 'allow_unmetered'])
          .describe('what happens to a model that the price book lacks')
          .prefault('deny'),
        unpriced_kind: oneOf(['parent', 'zero'])
          .describe('what a kind of token costs whose own rate is missing')
          .prefault('parent'),
        unmetered_paths: z
          .array(unmeteredPath)
          .describe('METHOD and path, as globs; everything else that is not metered is refused')
          .prefault(['GET /v1/models', 'GET /v1/models/*']),
        buffer_bytes: bytes('256KiB', 0, 64 * MIB, 'longest JSON answer that carries x-tollgate-cost'),
      })
      .describe('what is metered, and what happens to what cannot be')
      .prefault({}),
    on_redis_down: z
      .strictObject({
        mode: oneOf(['deny'], ['allow']).describe('deny: calls are refused while Redis is away').prefault('deny'),
        per_account: later(decimal()).describe('most that an account may spend meanwhile'),
        unit: later(unitName()).describe('unit of per_account'),
      })
      .describe('what happens to calls while Redis is away')
      .prefault({}),
    answers: z
      .strictObject({ stream_cost: flag().describe('every stream ends with a comment of its cost').prefault(false) })
      .describe('what answers carry')
      .prefault({}),
    run_headers: z.array(runHeader).describe('further request headers read as the run').prefault([]),
    metrics: z
      .strictObject({
        max_series: count(
          2000,
          10,
          1_000_000,
          'accounts and models with series of their own; the rest fold into "other"',
        ),
      })
      .describe('bounds of metrics')
      .prefault({}),
    auth: z
      .strictObject({ jwt: z.array(jwtIssuer).describe('token issuers').prefault([]) })
      .describe('callers known by a token of an issuer')
      .prefault({}),
    limits: limits.describe('bounds and timeouts').prefault({}),
    ledger: z
      .strictObject({
        export: z
          .array(
            z.strictObject({
              jsonl: text('a path').describe('directory of books, under data_dir; on a shared disk, or on one gateway'),
            }),
          )
          .refine(
            (targets) => new Set(targets.map(({ jsonl }) => jsonl)).size === targets.length,
            'names a directory twice; leave one out',
          )
          .describe('where entries are exported to; none: all of them stay in Redis')
          .prefault([]),
        keep: duration(2 * HOUR, 3650 * DAY)
          .describe('age up to which exported entries stay in Redis; nothing leaves it that is not exported')
          .prefault('7d'),
        freeze_on_drift: flag()
          .describe('whether an account is frozen whose state is not what its ledger says')
          .prefault(true),
      })
      .describe('how long entries stay in Redis, and where they go')
      .prefault({}),
  })
  .meta({ title: 'tollgate.yaml', description: 'Settings of the gateway, read at start.' })

export type TollgateFile = z.output<typeof tollgateSchema>
