import type { Outbox } from '../wallet/outbox.ts'
import type { JobList } from './job-list.ts'
import { decodeLongCall } from './long-call.ts'

/** Puts a call on the list, once for a job: a second hold for it (a retry under one idempotency key) is returned. */
export async function listJob(list: JobList, text: string, outbox: Pick<Outbox, 'void'>): Promise<void> {
  if ((await list.add(text)) === 'added') return
  const { id, account } = decodeLongCall(text).terms
  void outbox.void({ id, account, reason: 'job_charged_before' })
}
