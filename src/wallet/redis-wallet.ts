import { answerKey } from '../redis/keys.ts'
import type { ScriptClient } from '../redis/run-script.ts'
import { checkAccount } from './check-account.ts'
import * as corrections from './corrections.ts'
import { eventsHandedOver, pendingEvents } from './events.ts'
import * as grants from './grants.ts'
import * as holds from './holds.ts'
import { readLedger, readPage } from './ledger.ts'
import { readBalance, readCounter } from './packed.ts'
import { listRefusals } from './refusals.ts'
import { repairAccount } from './repair-account.ts'
import { createScriptCaller, field, type ScriptCaller, type WalletOptions } from './script-caller.ts'
import { listUnmatched, resolveUnmatched } from './unmatched.ts'
import type { Balance, BudgetCounter, Wallet } from './wallet-types.ts'

/**
 * The wallet on Redis. Reads the scripts at once: throws ScriptError where one does not keep its form.
 *
 * A refusal is a status. What is thrown: what the client throws (WalletUnavailable from ours); RangeError for
 * arguments that the layers above must have refused; an error that names file and line where a script failed,
 * after which nothing was written.
 */
export function createWallet(client: ScriptClient, options: WalletOptions = {}): Wallet {
  const scripts = createScriptCaller(client, options)
  return {
    hold: (request) => holds.hold(scripts, request),
    checkpoint: (request) => holds.checkpoint(scripts, request),
    settle: (request) => holds.settle(scripts, request),
    void: (request) => holds.voidHold(scripts, request),
    sweep: (account) => holds.sweep(scripts, account),
    grant: (request) => grants.grant(scripts, request),
    voidGrant: (request) => grants.voidGrant(scripts, request),
    adjust: (request) => grants.adjust(scripts, request),
    setFrozen: (request) => grants.setFrozen(scripts, request),
    clawback: (request) => grants.clawback(scripts, request),
    payment: (request) => grants.payment(scripts, request),
    refund: (request) => corrections.refund(scripts, request),
    resolveFlagged: (request) => corrections.resolveFlagged(scripts, request),
    closePeriod: (request) => corrections.closePeriod(scripts, request),
    refusals: (account) => listRefusals(scripts, account),
    unmatched: (account, page) => listUnmatched(scripts, account, page),
    resolveUnmatched: (request) => resolveUnmatched(scripts, request),
    setStop: (request) => corrections.setStop(scripts, request),
    stops: (account) => corrections.stops(scripts, account),
    balances: (account) => balances(scripts, account),
    grants: (account) => grants.listGrants(scripts, account),
    holds: (account) => holds.openHolds(scripts, account),
    counts: (account) => counts(scripts, account),
    counters: (account, cursor, count) => counters(scripts, account, cursor, count),
    ledger: (account, page) => readLedger(scripts, account, page),
    ledgerPage: (account, { afterSeq, limit, type }) => readPage(scripts, account, afterSeq + 1, limit, type),
    pendingEvents: (account, limit, afterSeq) => pendingEvents(scripts, account, limit, afterSeq),
    eventsHandedOver: (account, upToSeq) => eventsHandedOver(scripts, account, upToSeq),
    check: async (account) => {
      const { seq, differences, notChecked } = await checkAccount(scripts, account)
      return { seq, differences, notChecked }
    },
    repair: (request) => repairAccount(scripts, request),
    firstAnswer: (account, operationId, answer) => firstAnswer(scripts, account, operationId, answer),
  }
}

async function balances(scripts: ScriptCaller, account: string): Promise<readonly Balance[]> {
  const reply = await scripts.call('balances', scripts.keysOf(account).wallet, [])
  const found: Balance[] = []
  for (let i = 1; i < reply.length; i += 4) {
    const [wallet, totals, periods] = [field(reply, i + 1), field(reply, i + 2), field(reply, i + 3)]
    found.push(readBalance(field(reply, i), reply[0] === '1', wallet, totals, periods))
  }
  return found.sort((a, b) => (a.unit < b.unit ? -1 : 1))
}

async function counts(scripts: ScriptCaller, account: string): ReturnType<Wallet['counts']> {
  const reply = await scripts.call('counts', [scripts.keysOf(account).account], [])
  const number = (index: number): number => Number(field(reply, index))
  return { openHolds: number(0), timeouts: number(1), unmatched: number(2), eventsDropped: number(3) }
}

async function counters(
  scripts: ScriptCaller,
  account: string,
  cursor: string,
  count: number,
): Promise<{ counters: readonly BudgetCounter[]; next: string; nowMs: number }> {
  const reply = await scripts.call('budgets', scripts.keysOf(account).wallet, [cursor, String(count)])
  const found: BudgetCounter[] = []
  for (let i = 2; i < reply.length; i += 2) found.push(readCounter(field(reply, i), field(reply, i + 1)))
  return { counters: found, next: field(reply, 0), nowMs: Number(field(reply, 1)) }
}

async function firstAnswer(
  scripts: ScriptCaller,
  account: string,
  operationId: string,
  answer: string,
): Promise<string> {
  return field(await scripts.call('first_answer', [answerKey(scripts.keysOf(account), operationId)], [answer]), 0)
}
