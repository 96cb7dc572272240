/** Who is told of events, how that goes, and a test of it. */
import type { Receiver } from '../config/snapshot.ts'
import type { ReceiverReport, TestReport } from '../webhooks/deliveries.ts'
import { AdminError } from './admin-error.ts'
import { timeOrNull } from './render-wallet.ts'
import { type AdminDependencies, type Route, route } from './route.ts'
import { pageOf, webhookAnswer, webhookTestBody, webhookTestsAnswer } from './schemas.ts'
import { shownUrl } from './shown-url.ts'

function webhookJson(report: ReceiverReport) {
  const { receiver, gone, failingSinceMs } = report
  return {
    url: shownUrl(receiver.url),
    events: receiver.events,
    accounts: receiver.accounts,
    state: gone ? 'gone' : failingSinceMs === undefined ? 'ok' : 'failing',
    last_success_at: timeOrNull(report.lastSuccessMs),
    failing_since: timeOrNull(failingSinceMs),
    error: report.error ?? null,
    pending: report.pending,
    oldest_at: timeOrNull(report.oldestAtMs),
  }
}

function testJson({ receiver, result, durationMs }: TestReport) {
  const status = result.kind === 'delivered' ? result.status : null
  const error = 'reason' in result ? result.reason : result.kind === 'stopped' ? 'the gateway is stopping' : null
  return { url: shownUrl(receiver.url), delivered: result.kind === 'delivered', status, error, duration_ms: durationMs }
}

const list = route({
  method: 'GET',
  path: '/webhooks',
  role: 'operator',
  summary: 'Receivers of events, without their secrets, and how far each is',
  answer: pageOf(webhookAnswer),
  async handle({ admin }) {
    return { status: 200, body: { items: (await admin.webhooks.report()).map(webhookJson), next: null } }
  },
})

const test = route({
  method: 'POST',
  path: '/webhooks/test',
  role: 'operator',
  withoutRedis: true,
  summary: 'Post a webhook.test to one receiver, or to all; one that had answered 410 Gone and takes it is asked again',
  body: webhookTestBody,
  answer: webhookTestsAnswer,
  async handle({ admin, body }) {
    const tests = await Promise.all(named(admin, body.url).map((receiver) => admin.webhooks.test(receiver)))
    return { status: 200, body: { items: tests.map(testJson) } }
  },
})

/** By the whole URL or as it is shown. Throws 404 where the config has none. */
function named(admin: AdminDependencies, url: string | undefined): readonly Receiver[] {
  const { webhooks } = admin.store.current()
  if (url === undefined) return webhooks
  const found = webhooks.filter((receiver) => receiver.url === url || shownUrl(receiver.url) === url)
  if (found.length > 0) return found
  throw new AdminError(404, 'unknown_webhook', 'The config has no receiver with this url; GET webhooks lists them.')
}

export const WEBHOOK_ROUTES: readonly Route[] = [list, test]
