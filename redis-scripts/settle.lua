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
ARGV[2]  numbers  id_ms (the time in the id),scale,final_atoms (integer >= 0),looked_up (0; the caller found of this id in
                  the ledger no end: 1; but a timeout: 2)
ARGV[3]  unit
ARGV[4]  info     JSON for the ledger
ARGV[5]  finals   MEASURE=amount;… of what budgets measure beside the wallet's unit
ARGV[6]  policy   mode,limit_atoms,multiplier_millionths,period,observe: used without a hold, as what follows
ARGV[7]  facts    model;upstream;endpoint;key;run;user;labels
ARGV[8]  late_window_ms
ARGV[9]  budgets  as the hold had them ('': none, or not known any more)

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
--! include lib/slices.lua
--! include lib/totals.lua
--! include lib/records.lua

local id, unit = ARGV[1], ARGV[3]
local id_ms, scale, final, looked_up = match(ARGV[2], '^(%d+),(%d+),(%d+),([012])$')
if not id_ms or final + 0 > ATOMS_MAX then error('out_of_range, or not whole numbers: ' .. ARGV[2]) end
local final_text = final .. unit
id_ms, final = id_ms + 0, final + 0

-- What few calls need, made on demand: to make a function costs as much as a short command of Redis.
local made
local function rare()
  if made then return made end
--! include lib/unusual_settle.lua
  made = {
    answered = answered, sweep_and_commit = sweep_and_commit, keep_in_order = keep_in_order,
    post_dead_slice = post_dead_slice, end_hold = end_hold, charged_by = charged_by, policy_of = policy_of,
    settle_otherwise = settle_otherwise,
  }
  return made
end

open_account(unit)
local hold = find_hold(id)
if not hold or hold.state ~= 'o' or hold.unit ~= unit then
  local before = rare().answered(hold)
  if before then return tell(before) end
end
if #call('ZRANGEBYSCORE', KEYS[4], '-inf', text_of(now), 'LIMIT', 0, 1) > 0 then
  if rare().sweep_and_commit() then return tell({ 'sweep_again', '0' }) end
  hold = find_hold(id)
end
if not hold or hold.state ~= 'o' then return tell(rare().settle_otherwise(hold)) end

local w, held, transfers = wallet_of(unit), hold.sliced + hold.over, {}
local drawn, charged, over_mode, over, overrun = {}, final, '', 0, 0
if hold.over == 0 and final <= hold.sliced then
  post_slices(w, hold.slices, final, drawn, transfers, rare)
  account.open_holds = account.open_holds - 1
else
  local posted
  drawn, posted, overrun = rare().end_hold(w, hold, final, transfers)
  charged, over = rare().charged_by(drawn, posted, overrun), posted.amount
  if over > 0 then over_mode = rare().policy_of(hold.policy).mode end
end
add_total(w, 'posted', charged)
local extra = 'hold=' .. text_of(held)
if overrun > 0 then extra = extra .. ';overrun=' .. text_of(overrun) end
if hold.budgets ~= '' then
  local finals = budget_functions().read_finals(ARGV[5])
  finals[unit] = final
  extra = extra .. budgets.finish(hold.budgets, finals, ARGV[9])
end
local seq = text_of(add_entry('settle', now, id, '', w, transfers, extra, ARGV[4]))
holds[id], holds_changed[id], due_changes['h' .. id] = false, true, false
commit()
remember_end(id, id_ms, 's', hold, final_text, seq)
return tell({ 'settled', '0', seq .. ';' .. text_of(charged) .. ';' .. over_mode .. ';' .. text_of(over) .. ';'
  .. text_of(overrun) .. ';' .. text_of(w.available) .. ';' .. pack_slices(drawn) })
