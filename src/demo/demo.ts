/** `npm run demo`: the whole product on this machine, explained step by step. `--once`: ends after the walk. */
import { Narrator } from './narrator.ts'
import { type Services, startServices } from './services.ts'
import { walk } from './walk.ts'

const USAGE = 'usage: npm run demo [-- --once]'

async function main(args: readonly string[]): Promise<number> {
  if (args.some((arg) => arg !== '--once')) {
    console.error(USAGE)
    return 2
  }
  let isOver = false
  const write = (text: string): void => {
    if (!isOver) process.stdout.write(text)
  }
  const out = new Narrator(write, process.stdout.isTTY && process.env['NO_COLOR'] === undefined)
  const interrupted = untilInterrupted()
  const services = await startServices(process.env)
  try {
    const failures = await Promise.race([walk(services, out), interrupted])
    if (typeof failures === 'string') return EXIT_CODES[failures]
    conclude(failures, out)
    if (args.includes('--once')) return failures.length === 0 ? 0 : 1
    invite(services, out)
    await interrupted
    return failures.length === 0 ? 0 : 1
  } finally {
    // A walk that was interrupted has nothing more to say.
    isOver = true
    await services.stop()
  }
}

/** Of a walk that was interrupted, as shells have them: 128 + the signal's number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
type Interrupt = keyof typeof EXIT_CODES

/** The first signal ends the demo in order, a second one at once. */
function untilInterrupted(): Promise<Interrupt> {
  return new Promise((interrupt) => {
    let first = true
    for (const signal of Object.keys(EXIT_CODES) as Interrupt[]) {
      process.on(signal, () => {
        if (!first) process.exit(EXIT_CODES[signal])
        first = false
        interrupt(signal)
      })
    }
  })
}

function conclude(failures: readonly string[], out: Narrator): void {
  if (failures.length === 0) {
    out.banner('Every claim above was checked and came true.')
    return
  }
  out.banner(`${failures.length} of the claims above did not come true:`)
  for (const failure of failures) out.wrong(failure)
}

function invite({ gateway, adminToken, simulator }: Services, out: Narrator): void {
  out.gap()
  out.say('It keeps serving until you press Ctrl-C:')
  out.figures([
    { label: '  gateway', value: gateway.url },
    { label: '  admin API', value: `${gateway.adminUrl}/admin/v1`, note: `authorization: Bearer ${adminToken}` },
    { label: '  metrics', value: `${gateway.adminUrl}/metrics` },
    { label: '  provider', value: simulator.url, note: 'the simulator' },
    {
      label: '  keys',
      value:
        'tg-demo-acme, tg-demo-acme-ci, tg-demo-globex, tg-demo-umbrella, tg-demo-initech, tg-demo-hooli, tg-demo-wonka',
    },
  ])
  out.gap()
  out.say('A call, its headers shown:')
  out.quote(
    `curl -i ${gateway.url}/v1/chat/completions -H 'authorization: Bearer tg-demo-acme' -H 'content-type: application/json' -d '{"model":"gpt-4o","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}'`,
  )
  out.say('The wallet that paid for it:')
  out.quote(`curl ${gateway.adminUrl}/admin/v1/accounts/acme -H 'authorization: Bearer ${adminToken}'`)
  out.say('The files in config/ are live: save entitlements.yaml, and the next call sees the change.')
}

try {
  process.exit(await main(process.argv.slice(2)))
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
}
