/** Bugs put into the scripts' text: the random histories must find each. `find` is exactly once in the file. */
export interface SeededBug {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
}

export const SEEDED_BUGS: readonly SeededBug[] = [
  {
    name: 'a late settle charges the whole amount again',
    file: 'settle.lua',
    find: 'hold.facts, final - posted, 0, drawn',
    replace: 'hold.facts, final, 0, drawn',
  },
  {
    name: 'overage is admitted without a look at what open holds have of it',
    file: 'lib/overage.lua',
    find: 'math.max(0, -policy.limit - w.debt - (held or w.debt_held))',
    replace: 'math.max(0, -policy.limit - w.debt)',
  },
  {
    name: 'what a hold releases of an expired grant is free again',
    file: 'lib/posting.lua',
    find: "if grant.state == 'u' then",
    replace: "if grant.state ~= 'v' then",
  },
  {
    name: 'what a late settle gives back goes to the grant drawn first',
    file: 'settle.lua',
    find: 'for i = #drawn, 1, -1 do',
    replace: 'for i = 1, #drawn do',
  },
  {
    name: 'a hold decides before what is due is swept',
    file: 'hold.lua',
    find: 'elseif sweep_and_commit() then',
    replace: 'elseif false and sweep_and_commit() then',
  },
  {
    name: 'a grant is usable at its expiry',
    file: 'lib/sweep.lua',
    find: 'grant.expires_at <= now',
    replace: 'grant.expires_at < now',
  },
  {
    name: 'a hold is due after its deadline, not at it',
    file: 'lib/sweep.lua',
    find: "'-inf', text_of(now), 'WITHSCORES'",
    replace: "'-inf', '(' .. text_of(now), 'WITHSCORES'",
  },
  {
    name: 'a timeout posts the floor even where more was known',
    file: 'lib/sweep.lua',
    find: 'math.max(hold.floor, hold.known)',
    replace: 'hold.floor',
  },
  {
    name: 'every hold has the late window of most',
    file: 'lib/sweep.lua',
    find: 'at_ms + hold.late_ms',
    replace: 'at_ms + LATE_WINDOW_MS',
  },
  {
    name: 'a hold forgets its late window when it is written again',
    file: 'lib/holds.lua',
    find: 'number_of(late_ms), floor = number_of(floor)',
    replace: 'LATE_WINDOW_MS, floor = number_of(floor)',
  },
  {
    name: 'a retry of a settle is not told by its record',
    file: 'settle.lua',
    find: "remember_end(id, id_ms, 's', hold, final_text, text_of(seq))",
    replace: "remember_end(id, id_ms, 'v', hold, final_text, text_of(seq))",
  },
  {
    name: 'a hold opens under an id that was closed',
    file: 'hold.lua',
    find: "if ended.fingerprint == '' then return { 'id_closed', '0', '0', '0' } end",
    replace: "if ended.fingerprint == '' then return nil end",
  },
  {
    name: 'charges at a multiplier round up',
    file: 'lib/posting.lua',
    find: 'if remainder > 500000 or (remainder == 500000 and whole % 2 == 1) then',
    replace: 'if remainder > 0 then',
  },
  {
    name: 'halves round up',
    file: 'lib/posting.lua',
    find: '(remainder == 500000 and whole % 2 == 1)',
    replace: 'remainder == 500000',
  },
  {
    name: 'holds at a multiplier round down',
    file: 'lib/overage.lua',
    find: 'return remainder > 0 and whole + 1 or whole',
    replace: 'return whole',
  },
  {
    name: 'an overrun is admitted as overage beyond its limit',
    file: 'lib/posting.lua',
    find: 'math.min(beyond, math.max(0, overage_room(w, policy) - within))',
    replace: 'beyond',
  },
  {
    name: 'a call draws on grants that are not for it',
    file: 'lib/grants.lua',
    find: "if grant.scope == 'g' or not facts_text or applies(grant) then",
    replace: 'if true then',
  },
  {
    name: 'a lower checkpoint takes back what was known',
    file: 'checkpoint.lua',
    find: 'hold.known = math.max(hold.known, integer(ARGV[3]))',
    replace: 'hold.known = integer(ARGV[3])',
  },
  {
    name: 'lifetime totals are added in one number',
    file: 'lib/totals.lua',
    find: 'local high = math.floor(amount / TOTAL_PART)',
    replace: 'local high = 0',
  },
  {
    name: 'promotional grants repay debt like paid ones',
    file: 'grant.lua',
    find: "if made.state == 'u' and ARGV[13] == '1' then",
    replace: "if made.state == 'u' then",
  },
  {
    name: 'a voided grant that becomes effective comes back',
    file: 'grant_void.lua',
    find: "due_changes['g' .. id] = false",
    replace: "due_changes['g' .. id] = nil",
  },
  {
    name: 'an exhausted wallet says that open calls hold its money',
    file: 'hold.lua',
    find: "<= all_back and 'held_by_open_calls'",
    replace: "<= all_back + 1 and 'held_by_open_calls'",
  },
  {
    name: 'a budget counts a call twice',
    file: 'lib/budgets.lua',
    find: 'slot.held = slot.held + amount\n        kept',
    replace: 'slot.held = slot.held + 2 * amount\n        kept',
  },
  {
    name: 'a budget looks at what is spent and not at what is held',
    file: 'lib/budgets.lua',
    find: 'spec.room = math.max(0, spec.limit - spec.spent - spec.held)',
    replace: 'spec.room = math.max(0, spec.limit - spec.spent)',
  },
  {
    name: 'a settle is counted in another window than its hold',
    file: 'lib/budgets.lua',
    find: 'local slot = counter and find_slot(counter, item.start)\n      local final',
    replace: 'local slot = counter and counter.slots[#counter.slots]\n      local final',
  },
  {
    name: 'a late settle counts the whole call again',
    file: 'lib/budgets.lua',
    find: 'slot.spent + (final - item.amount)',
    replace: 'slot.spent + final',
  },
  {
    name: 'a rolling window forgets its oldest part early',
    file: 'lib/budgets.lua',
    find: 'return slot.start + spec.part > now - spec.length',
    replace: 'return slot.start > now - spec.length',
  },
  {
    name: 'a void leaves what budgets hold',
    file: 'void.lua',
    find: "if hold.budgets ~= '' then",
    replace: "if hold.budgets == '?' then",
  },
  {
    name: 'a timeout leaves what budgets hold',
    file: 'lib/sweep.lua',
    find: "hold.budgets ~= '' and budget_functions()",
    replace: "hold.budgets == '?' and budget_functions()",
  },
  {
    name: 'a timeout counts all that was held',
    file: 'lib/budgets.lua',
    find: 'return math.min(item.amount, math.max(item.floor, item.known))',
    replace: 'return item.amount',
  },
  {
    name: 'a slice is held that a budget has no room for',
    file: 'checkpoint.lua',
    find: 'if not policy.observe then tokens = math.min(tokens, allowed) end',
    replace: '',
  },
  {
    name: 'a budget takes more values than it may',
    file: 'lib/budgets.lua',
    find: 'group_sizes[spec.group] >= spec.most',
    replace: 'group_sizes[spec.group] > spec.most',
  },
  {
    name: 'a counter in use is dropped',
    file: 'lib/budgets.lua',
    find: 'if held > 0 or counter.touched + counter.life > now then',
    replace: 'if held > 0 then',
  },
  {
    name: 'a budget that flags refuses',
    file: 'hold.lua',
    find: 'if spec.blocks then',
    replace: 'if true then',
  },
  {
    name: 'an empty wallet is told as a budget that open calls hold',
    file: 'hold.lua',
    find: 'return by_wallet or by_budget',
    replace: 'return by_budget or by_wallet',
  },
  {
    name: 'a call without a hold is counted by no budget',
    file: 'settle.lua',
    find: "if ARGV[12] ~= '' then",
    replace: "if ARGV[12] == '?' then",
  },
]
