/** `tollgate webhooks`: who is told of events, how that goes, and a test of it. */
import type { z } from 'zod'
import type { webhookAnswer, webhookTestsAnswer } from '../admin/schemas.ts'
import type { AdminClient } from './admin-client.ts'
import { type Output, printJson } from './read-commands.ts'
import { type Column, table } from './table.ts'

type WebhookJson = z.infer<typeof webhookAnswer>
type TestsJson = z.infer<typeof webhookTestsAnswer>

const COLUMNS: readonly Column<WebhookJson>[] = [
  { title: 'URL', text: (row) => row.url },
  { title: 'STATE', text: (row) => row.state },
  { title: 'WAITING', right: true, text: (row) => String(row.pending) },
  { title: 'SINCE (UTC)', text: (row) => row.oldest_at ?? '' },
  { title: 'LAST SUCCESS (UTC)', text: (row) => row.last_success_at ?? 'never' },
  { title: 'FAILING SINCE', text: (row) => row.failing_since ?? '' },
  { title: 'ERROR', text: (row) => row.error ?? '' },
  { title: 'EVENTS', text: (row) => row.events.join(', ') },
  { title: 'ACCOUNTS', text: (row) => row.accounts.join(', ') },
]

const TEST_COLUMNS: readonly Column<TestsJson['items'][number]>[] = [
  { title: 'URL', text: (row) => row.url },
  { title: 'DELIVERED', text: (row) => (row.delivered ? 'yes' : 'no') },
  { title: 'MS', right: true, text: (row) => String(row.duration_ms) },
  { title: 'ERROR', text: (row) => row.error ?? '' },
]

const NONE = 'No receivers: webhooks in entitlements.yaml names them.'

export async function webhooksListCommand(admin: AdminClient, output: Output): Promise<void> {
  const { items } = await admin.get<{ readonly items: readonly WebhookJson[] }>('webhooks')
  if (output.json) printJson(output, items)
  else output.print(table(COLUMNS, items, NONE))
}

/** Answers the exit code: 1 where one does not take it, or there is none. */
export async function webhooksTestCommand(admin: AdminClient, url: string | undefined, output: Output): Promise<0 | 1> {
  const { body } = await admin.post<TestsJson>('webhooks/test', url === undefined ? {} : { url })
  if (output.json) printJson(output, body.items)
  else output.print(table(TEST_COLUMNS, body.items, NONE))
  return body.items.length > 0 && body.items.every(({ delivered }) => delivered) ? 0 : 1
}
