#!lua flags=allow-oom
--[[
Ends a hold without a charge: the call never reached the provider, or the provider refused it without usage. An id that
has no hold is closed, so that a hold still under way cannot open it.

KEYS[1]  account     hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]  grants      hash    grant id -> record; i:ID -> facts
KEYS[3]  order       zset    usable grants in drawdown order
KEYS[4]  due         zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds       hash    hold id -> record
KEYS[6]  ledger      stream  <seq>-0
KEYS[7]  budgets     hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events      zset    sequences of ledger events not yet handed over
KEYS[9]  operations  hash    ends of the calls whose ids fall in ten minutes

ARGV[1]  hold_id
ARGV[2]  id_ms  the time in it
ARGV[3]  info   JSON for the ledger: the reason

Returns {status, replay, released_atoms}; status, in order of precedence:
  hold_not_open  settled, or timed out
  sweep_again    more is due than one call sweeps: repeat
  voided         all was returned (replay 1: before)
  absent         no such hold; the id is closed (replay 1: before)
]]
--! include lib/posting.lua
--! include lib/sweep.lua
--! include lib/records.lua
--! include lib/answers.lua

local id, id_ms = ARGV[1], integer(ARGV[2])

local function void_open(hold)
  local w = wallet_of(hold.unit)
  local held, transfers = slices_total(hold.slices) + hold.over, {}
  end_hold(w, hold, 0, transfers)
  local counted = ''
  if hold.budgets ~= '' then counted = budget_functions().finish(hold.budgets, nil, '') end
  add_entry('void', now, id, '', w, transfers, 'released=' .. text_of(held) .. counted, ARGV[3])
  holds[id], holds_changed[id], due_changes['h' .. id] = false, true, false
  commit()
  remember_end(id, id_ms, 'v', hold, '', text_of(held))
  return { 'voided', '0', text_of(held) }
end

local function void()
  open_account('')
  local hold = find_hold(id)
  local record = not hold and call('HGET', KEYS[9], id)
  if record then
    local ended = read_record(record)
    if ended.kind == 'v' then return { 'voided', '1', ended.ended } end
    if ended.kind == 'a' then return { 'absent', '1', '0' } end
    return { 'hold_not_open', '0', '0' }
  end
  if sweep_and_commit() then return { 'sweep_again', '0', '0' } end
  hold = find_hold(id)
  if hold and hold.state == 'o' then return void_open(hold) end
  if hold then return { 'hold_not_open', '0', '0' } end
  -- An id older than its records needs no closing: no hold opens under it, and its end may be in the ledger.
  if now - id_ms <= RECORDS_MS then remember_end(id, id_ms, 'a', nil, '', '') end
  return { 'absent', '0', '0' }
end

return tell(void())
