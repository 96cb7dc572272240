/** Plans that let calls go on when credit ends: into debt, onto the month's invoice, or recorded and never refused. */
import { formatAmount, parseAmount } from '../core/money.ts'
import { type Scene, type Step, sum } from './scene.ts'

export const OVERAGE_STEPS: readonly Step[] = [
  { title: 'Beyond the credit: into debt', run: negative },
  { title: "Beyond the credit: onto the month's invoice", run: overflow },
  { title: 'Observe: record everything, refuse nothing', run: observe },
]

async function negative(scene: Scene): Promise<void> {
  const { out, customer, finance } = scene
  out.say(
    "umbrella's plan lets it go into debt, down to -5 USD. It has 0.01 USD and makes a call that costs more. The call passes and is flagged; the grant is emptied first, the rest is debt, and the next credit repays that first.",
  )
  await finance.grant('umbrella', { amount: '0.01', funding: 'invoiced' })
  const answer = await customer.chat({
    key: 'tg-demo-umbrella',
    model: 'gpt-4o',
    maxTokens: 2000,
    text: 'A long one. [simulate: output=1500]',
  })
  const settle = await scene.receipt('umbrella', answer, 'gpt-4o, an answer of at most 2,000 tokens', {
    last: [{ label: 'flagged', value: `x-tollgate-overage: ${answer.header('x-tollgate-overage')}` }],
  })
  const owing = await scene.wallet('umbrella')
  await finance.grant('umbrella', { amount: '0.02', funding: 'invoiced' })
  out.gap()
  out.say('Finance sells umbrella another 0.02 USD:')
  const repaid = await scene.wallet('umbrella')
  out.gap()
  scene.check(
    answer.status === 200 && answer.header('x-tollgate-overage') === 'negative',
    'the call passed, flagged as overage',
  )
  scene.check(
    sum(owing.debt, '0.01') === settle.charged && owing.available === '0',
    `credit paid 0.01 USD, the other ${owing.debt} USD are debt`,
  )
  scene.check(
    repaid.debt === '0' && sum(repaid.available, owing.debt) === '0.02',
    'the new credit repaid the debt, the rest is available',
  )
}

async function overflow(scene: Scene): Promise<void> {
  const { out, customer, finance } = scene
  out.say(
    "initech's plan puts what its credit does not cover onto the month's invoice, at 1.2 times the price, up to 25 USD a month.",
  )
  await finance.grant('initech', { amount: '0.01', funding: 'invoiced' })
  const answer = await customer.chat({
    key: 'tg-demo-initech',
    model: 'gpt-4o',
    maxTokens: 2000,
    text: 'A long one. [simulate: output=1500]',
  })
  const settle = await scene.receipt('initech', answer, 'gpt-4o, an answer of at most 2,000 tokens', {
    last: [{ label: 'flagged', value: `x-tollgate-overage: ${answer.header('x-tollgate-overage')}` }],
  })
  const balance = await scene.wallet('initech')
  out.gap()
  const beyond = parseAmount(String(settle['cost'])) - parseAmount('0.01')
  const invoiced = formatAmount((beyond * 12n) / 10n)
  scene.check(
    answer.status === 200 && answer.header('x-tollgate-overage') === 'overflow',
    'the call passed, flagged as overage',
  )
  scene.check(
    balance.overflow === invoiced,
    `at the list price ${formatAmount(beyond)} USD were not covered; times 1.2 that is ${invoiced} USD on the invoice`,
  )
  scene.check(
    sum(balance.overflow, '0.01') === settle.charged && balance.debt === '0',
    'charged: the credit of 0.01 USD and the invoice item; no debt',
  )
}

async function observe(scene: Scene): Promise<void> {
  const { out, customer } = scene
  out.say(
    'hooli is being watched before its limits are switched on: its plan decides and records everything, and refuses nothing. It has no credit at all. The call passes, and says what would have become of it.',
  )
  const answer = await customer.chat({
    key: 'tg-demo-hooli',
    model: 'gpt-4o',
    maxTokens: 500,
    text: 'Anything goes? [simulate: output=100]',
  })
  const settle = await scene.receipt('hooli', answer, 'gpt-4o, an answer of at most 500 tokens', {
    last: [{ label: 'would be', value: `x-tollgate-would: ${answer.header('x-tollgate-would')}` }],
  })
  const balance = await scene.wallet('hooli')
  out.gap()
  scene.check(
    answer.status === 200 && answer.header('x-tollgate-would') === 'insufficient_funds',
    'the call passed; it would have been refused: insufficient_funds',
  )
  scene.check(
    balance.flagged === settle.charged && balance.debt === '0',
    'its cost is flagged for finance to decide on; it is no debt',
  )
}
