import { field, type ScriptCaller } from './script-caller.ts'
import type { Refusal } from './wallet-types.ts'

const FIELDS = 7

/** About the last 1,000 refusals of an account, oldest first. */
export async function listRefusals(scripts: ScriptCaller, account: string): Promise<readonly Refusal[]> {
  const reply = await scripts.call('refusals', [scripts.keysOf(account).refusals], [])
  const found: Refusal[] = []
  for (let i = 0; i + FIELDS <= reply.length; i += FIELDS) {
    found.push({
      atMs: Number(field(reply, i)),
      operation: field(reply, i + 1) === 'checkpoint' ? 'checkpoint' : 'hold',
      id: field(reply, i + 2),
      status: field(reply, i + 3),
      needed: BigInt(field(reply, i + 4)),
      available: BigInt(field(reply, i + 5)),
      rule: field(reply, i + 6),
    })
  }
  return found
}
