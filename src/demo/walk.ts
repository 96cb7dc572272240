/** The walk through the product, step by step; each step says what it claims and checks it. */
import { BOOKS_STEP } from './books-step.ts'
import { Customer } from './customer.ts'
import { Finance } from './finance.ts'
import type { Narrator } from './narrator.ts'
import { OVERAGE_STEPS } from './overage-steps.ts'
import { PREPAID_STEPS } from './prepaid-steps.ts'
import { Scene, type Step } from './scene.ts'
import type { Services } from './services.ts'
import { SMALL_WALLET_STEPS } from './small-wallet-steps.ts'

const STEPS: readonly Step[] = [...PREPAID_STEPS, ...SMALL_WALLET_STEPS, ...OVERAGE_STEPS, BOOKS_STEP]

/** The claims that did not come true: none, if all is well. */
export async function walk(services: Services, out: Narrator): Promise<readonly string[]> {
  const { gateway, simulator } = services
  const scene = new Scene({
    out,
    finance: new Finance(gateway.adminUrl, services.adminToken),
    customer: new Customer(gateway.url),
    simulator,
  })
  introduce(services, out)
  for (const [index, step] of STEPS.entries()) {
    out.title(index + 1, step.title)
    try {
      await step.run(scene)
    } catch (error) {
      scene.check(false, `"${step.title}" was broken off: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return scene.failures
}

function introduce({ gateway, takenPorts }: Services, out: Narrator): void {
  out.banner('Tollgate: prepaid money in front of model APIs')
  out.gap()
  out.say(
    'Programs call language models through this gateway. Before a call is sent, the most that it can cost is held in the wallet of its account; when it is done, what the provider says it used is charged, and the rest is free again. So spend stops before it runs away.',
  )
  out.gap()
  out.say(
    `Running here: a provider of our own that speaks the formats of OpenAI and Anthropic (nothing leaves this machine, no keys are needed), the gateway at ${gateway.url} with the files in config/, and a private Redis (${gateway.redis.kind}) for the wallets. Amounts are US dollars at list prices.`,
  )
  if (takenPorts.length > 0) {
    out.gap()
    out.say(
      `Port ${takenPorts.join(' and ')} of the config is taken by another program, so a free one is used instead.`,
    )
  }
  if (gateway.redis.inMemory) {
    out.gap()
    out.say(
      'WARNING: no redis-server or valkey-server was found, so js-redis-server stands in: balances live in memory only and are lost when this ends. Good for looking around, not for money.',
    )
  }
  out.gap()
  out.say('The words of a wallet:')
  out.figures([
    { label: '  granted', value: 'all credit that finance has ever given the account' },
    { label: '  held', value: 'set aside for calls that are still running' },
    { label: '  posted', value: 'charged for calls that are done' },
    { label: '  available', value: 'what new calls can use' },
    { label: '  debt', value: 'used beyond the credit, where the plan allows that' },
  ])
}
