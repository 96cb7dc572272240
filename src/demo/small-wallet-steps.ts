/** The account globex: many calls at once on a small wallet, and a stream that is cut when the money ends. */
import type { Answer } from './customer.ts'
import { isMore, type Scene, type Step } from './scene.ts'

const KEY = 'tg-demo-globex'
const CALLS = 8

export const SMALL_WALLET_STEPS: readonly Step[] = [
  { title: `${CALLS} calls at once on a small wallet`, run: concurrent },
  { title: 'A stream that is cut when the money ends', run: cut },
]

async function concurrent(scene: Scene): Promise<void> {
  const { out, customer, finance } = scene
  out.say(
    `globex has 0.01 USD and sends ${CALLS} calls in the same moment, each of which may cost about 0.0026 USD. What a running call may cost is held, so that the money cannot be spent twice: those that fit run, the others are asked to come back in a second.`,
  )
  await finance.grant('globex', { amount: '0.01', funding: 'external' })
  const ask = (): Promise<Answer> =>
    customer.chat({
      key: KEY,
      model: 'gpt-4o',
      maxTokens: 250,
      text: 'Count to 250. [simulate: output=250, latency=1000]',
    })
  const running = Array.from({ length: CALLS }, ask)
  const early = await Promise.race(running)
  const during = await finance.balance('globex')
  const answers = await Promise.all(running)
  const passed = answers.filter((answer) => answer.status === 200)
  const waiting = answers.filter((answer) => answer.status === 429)
  for (const answer of passed) await finance.settle('globex', answer.requestId)
  const next = await ask()
  out.gap()
  out.figures([
    { label: 'passed', value: String(passed.length), note: 'calls, each with its money set aside first' },
    {
      label: 'asked to wait',
      value: String(waiting.length),
      note: `calls: 429 ${early.header('x-tollgate-error')}, retry-after: ${early.header('retry-after')}; official clients try again by themselves`,
    },
    { label: 'held', value: during.held, note: 'USD while they ran' },
    { label: 'available', value: during.available, note: 'USD while they ran' },
  ])
  const balance = await scene.wallet('globex')
  out.gap()
  scene.check(passed.length === 3 && waiting.length === CALLS - 3, 'three fit into 0.01 USD, five were asked to wait')
  scene.check(
    waiting.every(
      (answer) => answer.header('x-tollgate-error') === 'held_by_open_calls' && answer.header('retry-after') !== '',
    ),
    'those five were told why: open calls hold the money',
  )
  scene.check(
    next.status === 402 && next.header('x-tollgate-error') === 'insufficient_funds',
    'once nothing is held any more and it still does not fit, the next call is told the final word: 402',
  )
  scene.check(
    balance.held === '0' && balance.debt === '0' && !isMore(balance.posted, balance.granted),
    'nothing stays held, nothing was overspent',
  )
}

async function cut(scene: Scene): Promise<void> {
  const { out, customer, finance } = scene
  await finance.grant('globex', { amount: '0.01', funding: 'external' })
  const before = (await finance.balance('globex')).available
  out.say(
    `With new credit globex has ${before} USD. Its plan holds streams in slices of 200 tokens: little is set aside at first, more as the answer grows. The model of this call ignores its limit and never stops. When the wallet has nothing for the next slice, the gateway hangs up on the provider and ends the stream as the API itself would.`,
  )
  const answer = await customer.chat({
    key: KEY,
    model: 'gpt-4o',
    maxTokens: 16_000,
    text: 'Never stop. [simulate: endless, tps=2500]',
    stream: true,
  })
  const firstSlice = answer.header('x-tollgate-hold')
  const settle = await scene.receipt('globex', answer, 'gpt-4o, a stream of at most 16,000 tokens', {
    first: [{ label: 'first slice', value: firstSlice, note: 'USD, all that was held when the stream began' }],
    heldNote: 'USD at the end, slice by slice, until there was nothing for the next one',
  })
  const balance = await scene.wallet('globex')
  out.gap()
  const ends = answer.text
    .split('\n')
    .filter((line) => line !== '')
    .slice(-2)
  for (const line of ends) out.quote(line)
  out.gap()
  scene.check(settle['cut'] === true, 'the stream was cut')
  scene.check(
    lastFinishReason(answer) === 'length' && ends.at(-1) === 'data: [DONE]',
    'it ended as the API ends a stream that reached its limit: finish_reason "length", then [DONE]',
  )
  scene.check(
    !isMore(balance.posted, balance.granted) && balance.debt === '0',
    'it cost what was there and no more; there is no debt',
  )
  scene.check(scene.simulator.stats.open === 0, "the provider's side is closed: it writes for nobody")
}

function lastFinishReason(answer: Answer): unknown {
  const reasons = answer.events.map(
    (event) => (event as { choices?: { finish_reason?: unknown }[] }).choices?.[0]?.finish_reason,
  )
  return reasons.findLast((reason) => reason != null)
}
