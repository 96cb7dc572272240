import { formatProblem } from '../config/problem.ts'
import { FILE_BYTES_MAX } from '../config/read-yaml.ts'
import type { JwtIssuer, Plan, Snapshot, Upstream, UpstreamAuth } from '../config/snapshot.ts'
import { formatAmount } from '../core/money.ts'
import { AdminError } from './admin-error.ts'
import { timeText } from './render-wallet.ts'
import { type Route, route } from './route.ts'
import { configAnswer, configTexts, problemsAnswer, reasonBody, reloadAnswer } from './schemas.ts'
import { shownUrl } from './shown-url.ts'

function planJson(plan: Plan): object {
  const text = (atoms: bigint | undefined) => (atoms === undefined ? null : formatAmount(atoms, plan.scale))
  const policy = plan.onExhausted
  return {
    unit: plan.unit,
    timezone: plan.timezone,
    on_exhausted: {
      mode: policy.mode,
      ...(policy.mode === 'negative' ? { floor: text(policy.floorAtoms) } : {}),
      ...(policy.mode === 'overflow'
        ? { cap: text(policy.capAtoms), period: policy.period, multiplier: policy.multiplier }
        : {}),
    },
    enforcement: plan.enforcement,
    models: plan.models,
    endpoints: plan.endpoints ?? null,
    max_cost_per_call: text(plan.maxCostPerCallAtoms),
    max_output_tokens: plan.maxOutputTokens ?? null,
    trim: {
      enabled: plan.trim.enabled,
      min_output_tokens: plan.trim.minOutputTokens,
      min_reasoning_tokens: plan.trim.minReasoningTokens,
      structured: plan.trim.structured,
      tools: plan.trim.tools,
    },
    streaming: plan.streaming ? { slice_tokens: plan.streaming.sliceTokens, on_cut: plan.streaming.onCut } : null,
    require: plan.require,
    top_up_url: plan.topUpUrl ?? null,
  }
}

/** Header values and keys stay here: whether there is one is all that is shown. */
function upstreamJson(upstream: Upstream): object {
  return {
    format: upstream.format,
    base_url: `${upstream.baseUrl.origin}${upstream.baseUrl.pathname}`,
    auth: shownAuth(upstream.auth),
    api_key: upstream.apiKey === '' ? 'not set' : 'set',
    models: upstream.models,
    headers: Object.keys(upstream.headers),
    shared: upstream.shared,
    on_disconnect: { mode: upstream.onDisconnect.mode, max_seconds: upstream.onDisconnect.maxMs / 1000 },
    on_no_answer: upstream.onNoAnswer,
  }
}

/** Arguments may hold a secret: the program alone is shown. */
function shownAuth(auth: UpstreamAuth): unknown {
  if (typeof auth !== 'object' || !('command' in auth)) return auth
  return {
    command: [auth.command[0], ...(auth.command.length > 1 ? ['…'] : [])],
    refresh_seconds: auth.refreshMs / 1000,
  }
}

function issuerJson(issuer: JwtIssuer): object {
  return {
    issuer: issuer.issuer,
    audience: issuer.audience,
    jwks_url: shownUrl(issuer.jwksUrl),
    algorithms: issuer.algorithms,
    account_claim: issuer.accountClaim ?? null,
    account: issuer.account ?? null,
    key_claim: issuer.keyClaim,
    labels: issuer.labels,
  }
}

/** What is in force, without secrets: no key, argument, hash, token, header value or Redis password. */
function configJson(snapshot: Snapshot): object {
  const { settings } = snapshot
  const keys = Map.groupBy(snapshot.keys.values(), (key) => key.account.id)
  return {
    version: snapshot.version,
    generation: snapshot.generation,
    loaded_at: timeText(snapshot.loadedAtMs),
    files: { tollgate: settings.file, entitlements: settings.entitlementsFile, prices: settings.pricesFile },
    gateway: settings.gateway,
    admin: {
      host: settings.admin.host,
      port: settings.admin.port,
      tokens: settings.admin.tokens.map(({ name, role }) => ({ name, role })),
    },
    redis: { url: settings.redis.url === '' ? 'embedded' : shownUrl(settings.redis.url) },
    data_dir: settings.dataDir,
    auth: { jwt: settings.jwt.map(issuerJson) },
    units: Object.fromEntries(settings.unitScales),
    upstreams: Object.fromEntries(settings.upstreams.map((upstream) => [upstream.name, upstreamJson(upstream)])),
    plans: Object.fromEntries([...snapshot.plans].map(([name, plan]) => [name, planJson(plan)])),
    defaults: { plan: snapshot.defaultPlan?.name ?? null },
    accounts: Object.fromEntries(
      [...snapshot.accounts.values()].map(({ id, plan, labels }) => [
        id,
        { plan: plan.name, labels, keys: (keys.get(id) ?? []).map((key) => ({ id: key.id, labels: key.labels })) },
      ]),
    ),
    webhooks: snapshot.webhooks.map(({ url, events, accounts }) => ({ url: shownUrl(url), events, accounts })),
    warnings: snapshot.warnings,
  }
}

const show = route({
  method: 'GET',
  path: '/config',
  role: 'operator',
  summary: 'The config in force, without secrets',
  answer: configAnswer,
  async handle({ admin }) {
    return { status: 200, body: configJson(admin.store.current()) }
  },
})

const validate = route({
  method: 'POST',
  path: '/config/validate',
  role: 'operator',
  withoutRedis: true,
  summary: 'What a reload with these texts would say; changes nothing',
  body: configTexts,
  bodyBytesMax: 4 * FILE_BYTES_MAX,
  answer: problemsAnswer,
  async handle({ admin, body }) {
    const texts = Object.fromEntries(Object.entries(body).filter(([, text]) => text !== undefined))
    const { problems, warnings } = await admin.store.validateTexts(texts)
    return { status: 200, body: { valid: problems.length === 0, problems, warnings } }
  },
})

const reload = route({
  method: 'POST',
  path: '/config/reload',
  role: 'operator',
  withoutRedis: true,
  summary: 'Read the hot files now and put them in force, whole or not at all',
  body: reasonBody,
  answer: reloadAnswer,
  async handle({ admin }) {
    const { result, version, problems, notes } = await admin.reload()
    if (result === 'rejected') {
      const fields = problems.map((problem) => ({ field: problem.file, message: formatProblem(problem) }))
      throw new AdminError(422, 'invalid', 'The files were rejected; the config that was in force stays.', fields)
    }
    return { status: 200, body: { result, version, notes } }
  },
})

export const CONFIG_ROUTES: readonly Route[] = [show, validate, reload]
