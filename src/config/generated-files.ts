import type { JsonSchema } from './describe-issues.ts'
import { JSON_SCHEMAS } from './json-schemas.ts'
import { type Examples, referenceFile } from './reference-file.ts'

const SHA256 = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'

const TOLLGATE: Examples = {
  'admin.tokens[].name': 'ops',
  'admin.tokens[].sha256': SHA256,
  'admin.tokens[].role': 'operator',
  'units.*': 'JPY',
  'units.*.scale': 4,
  'upstreams.*': 'openai',
  'upstreams.*.format': 'openai',
  'upstreams.*.base_url': 'https://api.openai.com/v1',
  'upstreams.*.api_key': `\${OPENAI_API_KEY:-}`,
  'upstreams.*.auth': 'bearer',
  'upstreams.*.output_limit_param': 'max_completion_tokens',
  'upstreams.*.ask_for_usage': true,
  'limits.connections_per_address': 1000,
  'ledger.export[].jsonl': 'ledger/',
}

const ENTITLEMENTS: Examples = {
  'plans.*': 'pro',
  'plans.*.endpoints': ['chat', 'messages', 'embeddings'],
  'plans.*.max_cost_per_call': '0.50',
  'plans.*.max_cost_per_batch': '20.00',
  'plans.*.max_output_tokens': 8192,
  'plans.*.on_exhausted.floor': '-20.00',
  'plans.*.on_exhausted.cap': '500.00',
  'plans.*.streaming.slice_tokens': 1024,
  'plans.*.allowance.amount': '10.00',
  'plans.*.allowance.every': 'month',
  'plans.*.allowance.rollover.max': '5.00',
  'plans.*.alerts': [{ at: '20%', of: 'granted' }, { below: '5.00' }, { hours_left: 24 }, { expires_in: '72h' }],
  'plans.*.auto_top_up.below': '5.00',
  'plans.*.auto_top_up.amount': '20.00',
  'plans.*.auto_top_up.at_most': '100.00',
  'plans.*.top_up_url': 'https://example.com/billing',
  'accounts.*': 'acme',
  'accounts.*.plan': 'pro',
  'accounts.*.labels': { segment: 'enterprise' },
  'accounts.*.keys[].id': 'ci-bot',
  'accounts.*.keys[].sha256': SHA256,
  'accounts.*.keys[].labels': { team: 'platform', agent: 'ci' },
  'accounts.*.keys[].plan_overrides': { max_cost_per_call: '0.05' },
  'budgets[].name': 'platform-daily',
  'budgets[].match': { account: 'acme', team: 'platform' },
  'budgets[].limit': '50.00',
  'budgets[].unit': 'USD',
  'budgets[].window': 'day',
  'budgets[].timezone': 'Europe/Paris',
  'rates[].from': 'EUR',
  'rates[].to': 'USD',
  'rates[].rate': '1.08',
  'rates[].valid_from': '2026-11-01',
  'webhooks[].url': 'https://ops.example/hook',
  'webhooks[].secret': 'whsec_Zm9yLWV4YW1wbGUtb25seS1tYWtlLXlvdXItb3duLS0=',
  'webhooks[].events': ['wallet.*', 'overage.started', 'budget.exceeded', 'grant.expiring'],
  'accounts.*.plan_overrides': { on_exhausted: { mode: 'overflow', cap: '500.00', period: 'month' } },
}

const PRICE_BOOK: Examples = {
  catalog: 'genai-prices',
  'entries[].match': { upstream: 'openai', model: 'gpt-5-mini*' },
  'entries[].from': '2026-01-01',
  'entries[].unit': 'USD',
  'entries[].per_million': { input: '0.25', cached_input: '0.025', output: '2.00' },
  'entries[].per_unit': { web_search: '0.01' },
  'entries[].charge.per_million': { input: '0.30', output: '2.40' },
  'entries[].charge.per_unit': { web_search: '0.012' },
  'entries[].charge.markup': '1.20',
  'entries[].like': 'gpt-5-mini',
  'entries[].tiers.batch': '0.5',
  'entries[].tiers.flex': '0.5',
  'entries[].tiers.priority': { per_million: { input: '0.45', output: '3.60' } },
  'entries[].tiers.scale': '1',
  'entries[].tiers.reserved': '1',
  'entries[].tiers.fast': '6',
  'entries[].tiers.performance': '1',
  'entries[].tiers.us': '1.1',
  'entries[].tiers.fast_us': '6.6',
  'entries[].tiers.optimized': '1.25',
  'entries[].tiers.search_low': { per_unit: { requests: '0.005' } },
  'entries[].tiers.search_medium': { per_unit: { requests: '0.008' } },
  'entries[].tiers.search_high': { per_unit: { requests: '0.012' } },
  'entries[].tiers.long_context': [{ above: 200000, per_million: { input: '0.50' } }],
  'entries[].context_window': 400000,
  'entries[].max_output_tokens': 128000,
  'entries[].source': 'https://openai.com/api/pricing 2026-11-01',
}

/** Files under config/ that are made from the schemas, by their path there. */
export function generatedFiles(): Record<string, string> {
  const json = (schema: JsonSchema) => `${JSON.stringify(schema, null, 2)}\n`
  return {
    'schema/tollgate.json': json(JSON_SCHEMAS.tollgate),
    'schema/entitlements.json': json(JSON_SCHEMAS.entitlements),
    'schema/price-book.json': json(JSON_SCHEMAS['price-book']),
    'reference/tollgate.yaml': referenceFile('tollgate', JSON_SCHEMAS.tollgate, TOLLGATE),
    'reference/entitlements.yaml': referenceFile('entitlements', JSON_SCHEMAS.entitlements, ENTITLEMENTS),
    'reference/price-book.yaml': referenceFile('price-book', JSON_SCHEMAS['price-book'], PRICE_BOOK),
  }
}
