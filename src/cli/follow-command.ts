import { setTimeout as sleep } from 'node:timers/promises'
import { type AdminClient, part, Unreachable } from './admin-client.ts'
import { CliError } from './cli-error.ts'
import type { LedgerRow } from './ledger-rows.ts'

/** Rows of a stream of server-sent events. */
async function* events(stream: AsyncIterable<Uint8Array>): AsyncGenerator<LedgerRow> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1]
      text = text.slice(end + 2)
      if (data !== undefined) yield JSON.parse(data)
    }
  }
}

/** Shows each new entry until the command is ended; goes on where it was when the gateway comes back. */
export async function followLedger(
  admin: AdminClient,
  account: string,
  type: string | undefined,
  afterSeq: number,
  show: (row: LedgerRow) => void,
): Promise<never> {
  const path = `accounts/${part(account)}/ledger${type === undefined ? '' : `?type=${part(type)}`}`
  let lastSeq = afterSeq
  let said = false
  for (;;) {
    try {
      for await (const row of events(await admin.follow(path, lastSeq))) {
        lastSeq = row.seq
        said = false
        show(row)
      }
    } catch (error) {
      // A stream that breaks is a TypeError of fetch; a refusal will not change by asking again.
      if (error instanceof CliError && !(error instanceof Unreachable)) throw error
    }
    if (!said) process.stderr.write('tollgate: the gateway closed the stream; waiting for it\n')
    said = true
    await sleep(1_000)
  }
}
