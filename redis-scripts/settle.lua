#!lua flags=allow-oom
--[[
Takes the final cost of a call and returns the rest of its hold. What goes beyond the hold is forced: the provider has
already billed. With no hold it is charged from the copy of the terms, once.

KEYS[1]  account     hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD, u:SEQ, unmatched
KEYS[2]  grants      hash    grant id -> record; i:ID -> facts
KEYS[3]  order       zset    usable grants in drawdown order
KEYS[4]  due         zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds       hash    hold id -> record
KEYS[6]  ledger      stream  <seq>-0
KEYS[7]  budgets     hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events      zset    sequences of ledger events not yet handed over
KEYS[9]  operations  hash    ends of the calls whose ids fall in ten minutes

ARGV[1]  hold_id
ARGV[2]  id_ms        the time in it
ARGV[3]  unit
ARGV[4]  scale
ARGV[5]  policy       mode,limit_atoms,multiplier_millionths,period,observe: used without a hold
ARGV[6]  facts        model;upstream;endpoint;key;run;user;labels: used without a hold
ARGV[7]  final_atoms  integer >= 0
ARGV[8]  looked_up    0; the caller found of this id in the ledger no end: 1; but a timeout: 2
ARGV[9]  info         JSON for the ledger
ARGV[10] late_window_ms: used without a hold
ARGV[11] finals       MEASURE=amount;… of what budgets measure beside the wallet's unit
ARGV[12] budgets      as the hold had them: counted without a hold

Returns {status, replay, seq;charged;over_mode;over;overrun;available;drawn}; status, in order of precedence:
  conflict         settled before at another amount, or in another unit
  hold_not_open    voided, or closed before any hold
  sweep_again      more is due than one call sweeps: repeat
  from_ledger      settled before at this amount: seq, entry, info of that ledger entry (seq alone: trimmed)
  settled          the hold was open
  late_settled     the hold had timed out, and its late window is open: charged is the net of the call (replay 1: before)
  look_up          no trace, and the id is older than its records: look in the ledger, then repeat with looked_up 1 or 2
  unmatched        no trace, older than its late window or timed out before it: an entry for an operator, nothing charged
  orphan_settled   no trace: charged from the copy; the id is closed
]]
--! include lib/giving_back.lua
--! include lib/sweep.lua
--! include lib/records.lua

local id, id_ms, unit, scale, final = ARGV[1], integer(ARGV[2]), ARGV[3], integer(ARGV[4]), integer(ARGV[7])
local final_text = text_of(final) .. unit

local function answer_of(seq, w, charged, drawn, over_mode, over, overrun)
  return text_of(seq) .. ';' .. text_of(charged) .. ';' .. (over > 0 and over_mode or '') .. ';' .. text_of(over)
    .. ';' .. text_of(overrun) .. ';' .. text_of(w.available) .. ';' .. pack_slices(drawn)
end

local function answered()
  local hold = find_hold(id)
  if hold then
    if hold.unit ~= unit then return { 'conflict', '0' } end
    if hold.state == 'l' then
      local settled_final, answer = string.match(hold.ended, '^([^;]*);(.*)$')
      if settled_final ~= final_text then return { 'conflict', '0' } end
      return { 'late_settled', '1', answer }
    end
    return nil
  end
  local record = redis.call('HGET', KEYS[9], id)
  if not record then return nil end
  local ended = read_record(record)
  if ended.kind == 'v' or ended.kind == 'a' then return { 'hold_not_open', '0' } end
  if ended.final ~= final_text then return { 'conflict', '0' } end
  return answer_from_ledger(ended.ended)
end

local function extra_of(held, overrun, more)
  local extra = more
  if held then extra = extra .. 'hold=' .. text_of(held) end
  if overrun > 0 then extra = extra .. ';overrun=' .. text_of(overrun) end
  return extra
end

local function policy_of(text)
  local policy = read_policy(text)
  return policy.observe and observed(policy) or policy
end

-- What an item of a hold's budgets comes to.
local function finals_by_measure(budget_unit)
  local finals = budgets.read_finals(ARGV[11])
  finals[budget_unit] = final
  return function(item)
    if item.measure == 'concurrent' then return 0 end
    return finals[item.measure] or item.amount
  end
end

local function count_finals(hold, late)
  if hold.budgets == '' then return '' end
  return budget_functions().finish(hold, finals_by_measure(hold.unit), late)
end

local function settle_open(hold)
  local w = wallet_of(hold.unit)
  local held, transfers = slices_total(hold.slices) + hold.over, {}
  local drawn, over, overrun = end_hold(w, hold, final, transfers)
  local charged = charged_by(drawn, over, overrun)
  add_total(w, 'posted', charged)
  local extra = extra_of(held, overrun, '') .. count_finals(hold, false)
  local seq = add_entry('settle', now, id, '', w, transfers, extra, ARGV[9])
  holds[id], holds_changed[id], due_changes['h' .. id] = false, true, false
  local answer = answer_of(seq, w, charged, drawn, policy_of(hold.policy).mode, over.amount, overrun)
  commit()
  remember_end(id, id_ms, 's', hold, final_text, text_of(seq))
  return { 'settled', '0', answer }
end

-- Gives back what a timeout posted too much, the overage first, then the grants in reverse order of drawing.
local function give_back(w, hold, policy, excess, drawn, transfers)
  local from_over = math.min(excess, hold.over_base)
  local over = { base = hold.over_base - from_over, amount = hold.over }
  over.amount = from_over > 0 and multiply_half_even(over.base, policy.multiplier) or hold.over
  local credit, note = 0, nil
  if hold.over > over.amount then
    credit, note = forgive(w, hold.over_name, hold.over - over.amount, transfers)
  end
  local left = excess - from_over
  for i = #drawn, 1, -1 do
    local part = math.min(left, drawn[i].amount)
    credit = credit + give_to_drawn(w, grants[drawn[i].id], part, transfers)
    drawn[i].amount = drawn[i].amount - part
    left = left - part
    if drawn[i].amount == 0 then drawn[i] = nil end
  end
  -- The hold's id names the grant; no other grant has it.
  local labels = note and '{"credit_note":"' .. note .. '"}' or '{"credit_of":"' .. id .. '"}'
  credit_grant(w, id, credit, note and 'invoiced' or 'promotional', labels, transfers)
  within_range(live_total(w))
  return over
end

local function settle_late(hold)
  local w = wallet_of(hold.unit)
  local policy, transfers = policy_of(hold.policy), {}
  local posted, charged_before = held_base(hold), slices_total(hold.slices) + hold.over
  local drawn, overrun, over = hold.slices, 0, { base = hold.over_base, amount = hold.over }
  -- The overage went where it went when the hold timed out.
  hold.over_name = over_account(policy)
  grants_of_slices(drawn)
  if final > posted then
    over, overrun = post_forced(w, policy, hold.facts, final - posted, 0, drawn, transfers, over)
  elseif final < posted then
    over = give_back(w, hold, policy, posted - final, drawn, transfers)
  end
  local charged = charged_by(drawn, over, overrun)
  add_total(w, 'posted', charged - charged_before)
  local extra = extra_of(nil, overrun, 'late=1') .. count_finals(hold, true)
  local seq = add_entry('late_settle', now, id, '', w, transfers, extra, ARGV[9])
  local answer = answer_of(seq, w, charged, drawn, policy.mode, over.amount, overrun)
  hold.state, hold.ended = 'l', final_text .. ';' .. answer
  hold.slices, hold.over_base, hold.over = drawn, over.base, over.amount
  holds_changed[id] = true
  commit()
  return { 'late_settled', '0', answer }
end

local function settle_orphan(w)
  local policy, transfers, drawn = policy_of(ARGV[5]), {}, {}
  local over, overrun = post_forced(w, policy, ARGV[6], final, 0, drawn, transfers, { base = 0, amount = 0 })
  local charged = charged_by(drawn, over, overrun)
  add_total(w, 'posted', charged)
  local extra = extra_of(nil, overrun, 'orphan=1')
  if ARGV[12] ~= '' then
    local specs = budget_functions().open(ARGV[12], '', id_ms)
    local finals = budgets.read_finals(ARGV[11])
    finals[unit], finals.concurrent = final, 0
    local _, counted = budgets.count(specs, 0, finals)
    extra = extra .. counted
  end
  local seq = add_entry('settle', now, id, '', w, transfers, extra, ARGV[9])
  if budgets and #budgets.noted > 0 then event_functions().tell_budgets(w) end
  local answer = answer_of(seq, w, charged, drawn, policy.mode, over.amount, overrun)
  commit()
  remember_end(id, id_ms, 'r', nil, final_text, text_of(seq))
  return { 'orphan_settled', '0', answer }
end

-- The entry has the terms that an operator's charge goes by; u:SEQ says that nobody has decided yet.
local function keep_unmatched(w)
  local timed_out = ARGV[8] == '2' and '1' or '0'
  local extra = 'final=' .. text_of(final) .. ';timed_out=' .. timed_out .. ';policy=' .. ARGV[5]
    .. ';facts=' .. string.gsub(ARGV[6], ';', '&')
  local seq = add_entry('unmatched', now, id, '', w, {}, extra, ARGV[9])
  local answer = answer_of(seq, w, 0, {}, '', 0, 0)
  commit()
  local record = id .. '|' .. final_text .. '|' .. timed_out .. '|' .. ARGV[5] .. '|' .. ARGV[6]
  redis.call('HSET', KEYS[1], 'u:' .. text_of(seq), record)
  redis.call('HINCRBY', KEYS[1], 'unmatched', 1)
  remember_end(id, id_ms, 'u', nil, final_text, text_of(seq))
  return { 'unmatched', '0', answer }
end

local function settle()
  if final < 0 then error('final_atoms is negative') end
  open_account(unit)
  local before = answered()
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  local hold = find_hold(id)
  if hold and hold.state == 'o' then return settle_open(hold) end
  if hold then return settle_late(hold) end
  if now - id_ms > RECORDS_MS and ARGV[8] == '0' then return { 'look_up', '0' } end
  local w = wallet_of(unit)
  if w.scale and w.scale ~= scale then error('unit_scale_mismatch: ' .. unit .. ' has ' .. w.scale .. ' decimals') end
  w.scale = scale
  -- A call that timed out was charged then, whatever a clock that ran ahead wrote into its id.
  if ARGV[8] == '2' or now - id_ms > integer(ARGV[10]) then return keep_unmatched(w) end
  return settle_orphan(w)
end

return tell(settle())
