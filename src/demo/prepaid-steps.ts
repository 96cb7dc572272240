/** The account acme: prepaid credit, calls that pass, stream, are trimmed and are refused. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from './customer.ts'
import type { SettleView } from './finance.ts'
import { isMore, type Scene, type Step, sum } from './scene.ts'

const KEY = 'tg-demo-acme'
const CI_KEY = 'tg-demo-acme-ci'

export const PREPAID_STEPS: readonly Step[] = [
  { title: 'A call that passes', run: passes },
  { title: 'A stream that says what it cost', run: streams },
  { title: 'A call that is trimmed to fit', run: trimmed },
  { title: 'A call that is refused, and why', run: refused },
  { title: 'New credit, and another kind of client', run: anthropicClient },
  { title: 'What would happen? A dry run', run: dryRun },
  { title: 'Credit that expires', run: expires },
]

async function passes(scene: Scene): Promise<void> {
  const { out, finance, customer } = scene
  out.say(
    'acme pays in advance. Finance gives it 0.05 USD of credit (sold on an invoice); then a program of acme asks a model a question, with nothing changed but its base URL and its key.',
  )
  await finance.grant('acme', { amount: '0.05', funding: 'invoiced' })
  const answer = await customer.chat({
    key: KEY,
    model: 'gpt-4o',
    maxTokens: 500,
    text: 'What is a toll gate? [simulate: output=60]',
  })
  const settle = await scene.receipt(
    'acme',
    answer,
    'gpt-4o, an answer of at most 500 tokens (a token is about a word)',
  )
  const balance = await scene.wallet('acme')
  out.gap()
  scene.check(answer.status === 200, 'the call passed')
  scene.check(sameUsage(answer.json, settle.tokens), 'the tokens charged are those that the provider reported')
  scene.check(
    answer.header('x-tollgate-cost') === settle.charged,
    `the answer said what it cost: x-tollgate-cost: ${settle.charged}`,
  )
  scene.check(
    sum(balance.posted, balance.available) === '0.05',
    'charged and available add up to the 0.05 that was granted',
  )
}

async function streams(scene: Scene): Promise<void> {
  const { out, customer } = scene
  out.say(
    'The same as a stream, word by word. The caller asked to be told the cost, so a comment stands before the end of the stream; clients that know nothing of it skip it.',
  )
  const answer = await customer.chat({
    key: KEY,
    model: 'gpt-4o',
    maxTokens: 500,
    text: 'Tell me about rivers. [simulate: output=80, tps=400]',
    stream: true,
    headers: { 'x-tollgate-cost': 'stream' },
  })
  const settle = await scene.receipt('acme', answer, 'gpt-4o, a stream of at most 500 tokens')
  await scene.wallet('acme')
  out.gap()
  const comment = answer.comments.find((line) => line.startsWith('tollgate ')) ?? ''
  out.quote(`: ${comment}`)
  out.quote('data: [DONE]')
  out.gap()
  scene.check(answer.status === 200 && answer.text.trimEnd().endsWith('data: [DONE]'), 'the stream came whole')
  scene.check(comment.includes(`cost=${settle.charged} `), 'the comment names the amount in the ledger')
  scene.check(
    settle.tokens['output'] === 80,
    'the provider was asked to report its count, and 80 tokens are what it wrote',
  )
  scene.check(
    answer.events.every((event) => event['usage'] == null),
    'the caller, who had not asked for that report, does not see it',
  )
}

async function trimmed(scene: Scene): Promise<void> {
  const { out, customer, finance } = scene
  const before = (await finance.balance('acme')).available
  out.say(
    `acme has ${before} USD left and asks for up to 8,000 tokens, which could cost 0.08 USD. Instead of refusing, the gateway lowers the limit to what the wallet can pay for, and says so.`,
  )
  const answer = await customer.chat({
    key: KEY,
    model: 'gpt-4o',
    maxTokens: 8000,
    text: 'Write a long story. [simulate: output=8000]',
  })
  const limit = answer.header('x-tollgate-trimmed')
  await scene.receipt('acme', answer, 'gpt-4o, an answer of at most 8,000 tokens')
  const balance = await scene.wallet('acme')
  out.gap()
  scene.check(answer.status === 200 && /^max_tokens=\d+$/.test(limit), `the answer says x-tollgate-trimmed: ${limit}`)
  scene.check(
    `max_tokens=${String(scene.lastSent()['max_tokens'])}` === limit,
    'that is the limit that the provider was sent',
  )
  scene.check(
    finishReason(answer) === 'length',
    'the provider stopped there, and the client was told so as always: finish_reason "length"',
  )
  scene.check(
    balance.debt === '0' && !isMore(balance.posted, balance.granted),
    'no more was charged than was granted; there is no debt',
  )
}

async function refused(scene: Scene): Promise<void> {
  const { out, customer, finance } = scene
  const calls = scene.simulator.stats.requests
  out.say(
    'Now the wallet pays for no useful answer. The next call is refused before anything is sent, in the error shape of the API that the client speaks: once as OpenAI would say it, once as Anthropic would.',
  )
  const openai = await customer.chat({ key: KEY, model: 'gpt-4o', maxTokens: 500, text: 'And now?' })
  const anthropic = await customer.messages({ key: KEY, model: 'claude-sonnet-5', maxTokens: 500, text: 'And now?' })
  out.gap()
  out.quote(
    `HTTP ${openai.status}   x-tollgate-error: ${openai.header('x-tollgate-error')}   x-should-retry: ${openai.header('x-should-retry')}`,
  )
  out.quote(JSON.stringify(openai.json, null, 2))
  out.quote(`\nHTTP ${anthropic.status}\n${JSON.stringify(anthropic.json, null, 2)}`)
  await scene.wallet('acme')
  out.gap()
  scene.check(openai.status === 402 && anthropic.status === 402, 'both were refused: 402, payment required')
  scene.check(
    tollgateCode(openai) === 'insufficient_funds' && tollgateCode(anthropic) === 'insufficient_funds',
    'the reason is insufficient_funds, with what was needed, what is there and where to add credit',
  )
  scene.check(
    (openai.json as { error: { code: string } }).error.code === 'insufficient_funds',
    "OpenAI's clients find it as the error's code",
  )
  scene.check(
    (anthropic.json as { type: string; error: { type: string } }).error.type === 'billing_error',
    "Anthropic's clients find it as the error's type, billing_error",
  )
  scene.check(
    scene.simulator.stats.requests === calls && (await finance.balance('acme')).held === '0',
    'the provider was not called, nothing is held',
  )
}

async function anthropicClient(scene: Scene): Promise<void> {
  const { out, customer, finance } = scene
  out.say(
    'Finance adds 1 USD; it counts from the next call on. This one is in the style of Anthropic, with its key in x-api-key; some of its question was read from the cache of the provider, which is cheaper.',
  )
  await finance.grant('acme', { amount: '1', funding: 'invoiced' })
  const answer = await customer.messages({
    key: KEY,
    model: 'claude-sonnet-5',
    maxTokens: 1000,
    text: 'Explain ledgers. [simulate: input=3000, cached=2000, output=200]',
  })
  const settle = await scene.receipt('acme', answer, 'claude-sonnet-5, an answer of at most 1,000 tokens')
  await scene.wallet('acme')
  out.gap()
  scene.check(
    answer.status === 200 && (answer.json as { type: string }).type === 'message',
    "the call passed, and its answer has Anthropic's shape",
  )
  scene.check(
    settle.tokens['cached_input'] === 2000 && settle.tokens['input'] === 1000,
    'of 3,000 tokens of question 2,000 were charged at the price of cached ones',
  )
  // 1,000 x 2.00 + 2,000 x 0.20 + 200 x 10.00 dollars a million.
  scene.check(
    settle.charged === '0.0044',
    'charged: 1,000 at 2.00 + 2,000 at 0.20 + 200 at 10.00 USD a million = 0.0044 USD',
  )
}

async function dryRun(scene: Scene): Promise<void> {
  const { out, customer, finance } = scene
  const calls = scene.simulator.stats.requests
  const before = await finance.balance('acme')
  out.say(
    'A program can ask what would become of a call (x-tollgate-dry-run: 1). Nothing is sent or held. The key of the CI robot may spend at most 0.05 USD a call; no key of acme may use o1.',
  )
  const ask = async (key: string, model: string): Promise<Readonly<Record<string, unknown>>> => {
    const answer = await customer.chat({
      key,
      model,
      maxTokens: 8000,
      text: 'Summarise everything.',
      headers: { 'x-tollgate-dry-run': '1' },
    })
    return answer.json as Record<string, unknown>
  }
  const [owner, robot, forbidden] = await Promise.all([ask(KEY, 'gpt-4o'), ask(CI_KEY, 'gpt-4o'), ask(KEY, 'o1')])
  out.gap()
  for (const [who, decision] of [
    ['acme, gpt-4o', owner],
    ['the CI robot, gpt-4o', robot],
    ['acme, o1', forbidden],
  ] as const) {
    out.say(`${who}, at most 8,000 tokens:`)
    out.quote(JSON.stringify(decision))
  }
  await scene.wallet('acme')
  out.gap()
  scene.check(owner?.['decision'] === 'pass', "acme's own call would pass whole")
  scene.check(
    robot?.['decision'] === 'trim' && Number(robot['output_limit']) < 8000,
    `the robot's would be trimmed to ${String(robot?.['output_limit'])} tokens`,
  )
  scene.check(
    forbidden?.['decision'] === 'refuse' && forbidden['code'] === 'not_entitled',
    'the third would be refused: not_entitled',
  )
  const after = await finance.balance('acme')
  scene.check(
    scene.simulator.stats.requests === calls && after.available === before.available,
    'nothing was sent, held or charged',
  )
}

async function expires(scene: Scene): Promise<void> {
  const { out, customer, finance } = scene
  out.say(
    'Finance gives acme 0.50 USD as a promotion that ends in three seconds. Credit that expires first is spent first, so the next call is paid from it; what is left of it at the end is gone by itself.',
  )
  const expiresAtMs = Date.now() + 3_000
  const expiresAt = new Date(expiresAtMs).toISOString()
  const promotion = await finance.grant('acme', { amount: '0.5', funding: 'promotional', expiresAt })
  const before = await scene.wallet('acme')
  const ask = () =>
    customer.chat({ key: KEY, model: 'gpt-4o', maxTokens: 500, text: 'Use the gift. [simulate: output=400]' })
  const gift = await scene.receipt('acme', await ask(), 'gpt-4o, an answer of at most 500 tokens')
  await sleep(Math.max(0, expiresAtMs - Date.now()) + 50)
  out.gap()
  out.say('Three seconds later:')
  const after = await scene.wallet('acme')
  out.gap()
  out.say('The same call again:')
  const own = await scene.receipt('acme', await ask(), 'gpt-4o, an answer of at most 500 tokens')
  await scene.wallet('acme')
  out.gap()
  scene.check(paidOnlyBy(gift, promotion), 'the first call was paid from the promotion')
  scene.check(
    sum(after.expired, gift.charged) === '0.5',
    `the rest of the promotion, ${after.expired} USD, has expired`,
  )
  scene.check(sum(after.available, '0.5') === before.available, 'the credit that acme bought was untouched')
  scene.check(
    own.drawn.length > 0 && own.drawn.every(({ grant }) => grant !== promotion),
    'the second call was paid from that',
  )
}

function paidOnlyBy(settle: SettleView, grant: string): boolean {
  return settle.drawn.length === 1 && settle.drawn[0]?.grant === grant
}

function sameUsage(body: unknown, tokens: Readonly<Record<string, number>>): boolean {
  const { usage } = body as { usage: { prompt_tokens: number; completion_tokens: number } }
  return usage.prompt_tokens === tokens['input'] && usage.completion_tokens === tokens['output']
}

function finishReason(answer: Answer): string | undefined {
  return (answer.json as { choices?: { finish_reason: string }[] }).choices?.[0]?.finish_reason
}

function tollgateCode(answer: Answer): string | undefined {
  return (answer.json as { error?: { tollgate?: { code?: string } } }).error?.tollgate?.code
}
