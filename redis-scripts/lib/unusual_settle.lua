-- What settle.lua does where the hold is not open, or does not cover what the call came to.
--! include lib/giving_back.lua
--! include lib/sweep.lua
--! include lib/answers.lua

local function answer_of(seq, w, charged, drawn, over_mode, over, overrun)
  return text_of(seq) .. ';' .. text_of(charged) .. ';' .. (over > 0 and over_mode or '') .. ';' .. text_of(over)
    .. ';' .. text_of(overrun) .. ';' .. text_of(w.available) .. ';' .. pack_slices(drawn)
end

-- What this id was answered before, or nil. `hold`: what is there of it, or false.
local function answered(hold)
  if hold then
    if hold.unit ~= unit then return { 'conflict', '0' } end
    if hold.state ~= 'l' then return nil end
    local settled_final, answer = match(hold_details(hold).ended, '^([^;]*);(.*)$')
    if settled_final ~= final_text then return { 'conflict', '0' } end
    return { 'late_settled', '1', answer }
  end
  local record = call('HGET', KEYS[9], id)
  if not record then return nil end
  local ended = read_record(record)
  if ended.kind == 'v' or ended.kind == 'a' then return { 'hold_not_open', '0' } end
  if ended.final ~= final_text then return { 'conflict', '0' } end
  return answer_from_ledger(ended.ended)
end

local function with_overrun(extra, overrun)
  return overrun > 0 and extra .. ';overrun=' .. text_of(overrun) or extra
end

local function policy_of(text)
  local policy = read_policy(text)
  return policy.observe and observed(policy) or policy
end

-- What the budgets of a hold that timed out come to.
local function count_late(late_hold)
  if late_hold.budgets == '' then return '' end
  local finals = budget_functions().read_finals(ARGV[5])
  finals[late_hold.unit] = final
  return budgets.further().finish(late_hold, function(item)
    if item.measure == 'concurrent' then return 0 end
    return finals[item.measure] or item.amount
  end, true)
end

-- Gives back what a timeout posted too much, the overage first, then the grants in reverse order of drawing.
local function give_back(w, hold, policy, excess, drawn, transfers)
  local from_over = math.min(excess, hold.over_base)
  local base = hold.over_base - from_over
  local over = { base = base, amount = multiply_half_even(base, policy.multiplier) }
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
  hold_details(hold)
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
  local extra = with_overrun('late=1', overrun) .. count_late(hold)
  local seq = add_entry('late_settle', now, id, '', w, transfers, extra, ARGV[4])
  local answer = answer_of(seq, w, charged, drawn, policy.mode, over.amount, overrun)
  hold.state, hold.ended = 'l', final_text .. ';' .. answer
  holds_changed[id] = true
  commit()
  return { 'late_settled', '0', answer }
end

local function settle_orphan(w)
  local policy, transfers, drawn = policy_of(ARGV[6]), {}, {}
  local over, overrun = post_forced(w, policy, ARGV[7], final, 0, drawn, transfers, { base = 0, amount = 0 })
  local charged = charged_by(drawn, over, overrun)
  add_total(w, 'posted', charged)
  local extra = with_overrun('orphan=1', overrun)
  if ARGV[9] ~= '' then
    local specs = budget_functions().open(ARGV[9], { 0, 0, 0 }, '', id_ms)
    local finals = budgets.read_finals(ARGV[5])
    finals[unit], finals.concurrent = final, 0
    local _, counted = budgets.count(specs, 0, finals)
    extra = extra .. counted
  end
  local seq = add_entry('settle', now, id, '', w, transfers, extra, ARGV[4])
  if budgets and #budgets.noted > 0 then event_functions().tell_budgets(w) end
  local answer = answer_of(seq, w, charged, drawn, policy.mode, over.amount, overrun)
  commit()
  remember_end(id, id_ms, 'r', nil, final_text, text_of(seq))
  return { 'orphan_settled', '0', answer }
end

-- The entry has the terms that an operator's charge goes by; u:SEQ says that nobody has decided yet.
local function keep_unmatched(w)
  local timed_out = looked_up == '2' and '1' or '0'
  local extra = 'final=' .. text_of(final) .. ';timed_out=' .. timed_out .. ';policy=' .. ARGV[6]
    .. ';facts=' .. string.gsub(ARGV[7], ';', '&')
  local seq = add_entry('unmatched', now, id, '', w, {}, extra, ARGV[4])
  local answer = answer_of(seq, w, 0, {}, '', 0, 0)
  commit()
  local record = id .. '|' .. final_text .. '|' .. timed_out .. '|' .. ARGV[6] .. '|' .. ARGV[7]
  call('HSET', KEYS[1], 'u:' .. text_of(seq), record)
  call('HINCRBY', KEYS[1], 'unmatched', '1')
  remember_end(id, id_ms, 'u', nil, final_text, text_of(seq))
  return { 'unmatched', '0', answer }
end

-- With a hold that timed out, or with none.
local function settle_otherwise(hold)
  if hold then return settle_late(hold) end
  if now - id_ms > RECORDS_MS and looked_up == '0' then return { 'look_up', '0' } end
  local w = wallet_of(unit)
  if w.scale and w.scale ~= scale + 0 then error('unit_scale_mismatch: ' .. unit .. ' has ' .. w.scale .. ' decimals') end
  w.scale = scale + 0
  -- A call that timed out was charged then, whatever a clock that ran ahead wrote into its id.
  if looked_up == '2' or now - id_ms > integer(ARGV[8]) then return keep_unmatched(w) end
  return settle_orphan(w)
end
