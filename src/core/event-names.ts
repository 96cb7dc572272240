/**
 * Events that are handed over to whoever asked to hear of them: ledger entries of type `event`, `fields.event` their
 * name, written in the same act as their cause. Other events (`budget.closed`) are the ledger's own.
 */
export const EVENTS = [
  'wallet.low', // the balance fell below a threshold of the plan
  'wallet.exhausted', // the balance came to 0, or a call was refused for want of money
  'overage.started', // a call went beyond the grants, where none did before
  'budget.exceeded', // a budget refused, or flagged, for the first time in a window
  'budget.values', // a budget that makes a counter for each value has 80 % of what it may have
  'grant.expiring', // a grant with something left expires soon
  'top_up.requested', // the plan asks for more credit
] as const
export type EventName = (typeof EVENTS)[number]
