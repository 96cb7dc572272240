#!lua flags=allow-oom
--[[
Gives a charge back, whole or in part, in the reverse order of its drawing: overage first, then each grant, into the grant
it came from (or to where that grant's rest went). What was owed and is repaid by now, and what a closed period has, comes
back as a fresh grant. The original windows of the charge's money budgets are adjusted.

KEYS[1]   account    hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]   grants     hash    grant id -> record; i:ID -> facts
KEYS[3]   order      zset    usable grants in drawdown order
KEYS[4]   due        zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]   holds      hash    hold id -> record
KEYS[6]   ledger     stream  <seq>-0
KEYS[7]   budgets    hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]   events     zset    sequences of ledger events not yet handed over
KEYS[9]   operation  string  this operation's answer, 35 days
KEYS[10]  refunds    hash    seq of a charge -> what was given back of it

ARGV[1]  operation_id
ARGV[2]  operation_ms   the time in it; '' where it has none
ARGV[3]  charge_seq     of a settle, late settle or timeout
ARGV[4]  entry          the packed entry: read here where the ledger does not have it any more; '' otherwise
ARGV[5]  amount_atoms   '' for all that is left of it
ARGV[6]  mode           original | new_grant
ARGV[7]  grant_id       of a fresh grant of what was repaid
ARGV[8]  note_id        of a fresh grant that is a credit note
ARGV[9]  info           JSON for the ledger: the reason
ARGV[10] actor
ARGV[11] given_back     of a timeout: what the call's late settle gave back of it; '' where none came

A timeout that was settled late is a charge of what the late settle left of it; what that charged beyond it is one of its own.

Returns {status, replay, refunded_atoms, of_atoms}; status, in order of precedence:
  done               (replay 1) this operation before
  conflict           the operation was used with other arguments
  sweep_again        more is due than one call sweeps: repeat
  id_too_old         the operation's record is gone
  unknown_charge     no charge has this sequence
  charge_open        a timeout in whose late window the call's own end may still come
  refund_too_large   more than is left of the charge
  too_many_grants    10,000 grants
  out_of_range       a grant would hold more than 2^53-1
  done               refunded: in all, of: what was charged
]]
--! include lib/giving_back.lua
--! include lib/operation.lua

local GRANTS_MAX = 10000
local CHARGES = { settle = true, late_settle = true, timeout = true }

-- What the charge took, in the order of drawing: {account, amount}; and its unit and extra.
local function read_charge()
  local found = call('XRANGE', KEYS[6], ARGV[3] .. '-0', ARGV[3] .. '-0')
  local packed = found[1] and found[1][2][2] or ARGV[4]
  local kind, operation, unit, transfers, extra =
    match(packed, '^([^|]*)|[^|]*|([^|]*)|[^|]*|([^|]*)|[^|]*|([^|]*)|[^|]*|(.*)$')
  if not CHARGES[kind] then return nil end
  local drawn, total = {}, 0
  for from, to, amount in string.gmatch(transfers, '([^>,]+)>([^=,]+)=(%d+)') do
    if to == 'consumed' then
      drawn[#drawn + 1] = { name = from, amount = amount + 0 }
      total = total + amount + 0
    end
  end
  if total == 0 then return nil end
  -- A timeout whose call may still say what it came to is not final.
  local open = kind == 'timeout' and ARGV[11] == '' and call('HEXISTS', KEYS[5], operation) == 1
  return { open = open, unit = unit, drawn = drawn, total = total, extra = extra }
end

-- Money budgets of the charge, in the windows that it was counted in; one of another unit by its share.
local function adjust_budgets(charge, amount)
  local counts = match(';' .. charge.extra .. ';', ';budgets=([^;]*);')
  if not counts or counts == '' then return end
  for id, start, counted in string.gmatch(counts, '(%d+)@(%d+):(%d+)') do
    budget_functions().further().give_back(id, start + 0, counted + 0, amount, charge)
  end
end

local function refund()
  local fingerprint = fingerprint_of(ARGV[3], ARGV[5], ARGV[6], ARGV[9])
  open_account('')
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  local charge = read_charge()
  if not charge then return remember(fingerprint, { 'unknown_charge' }) end
  if charge.open then return remember(fingerprint, { 'charge_open' }) end
  local refunded, given_back = (call('HGET', KEYS[10], ARGV[3]) or '0') + 0, (ARGV[11] == '' and '0' or ARGV[11]) + 0
  local so_far = refunded + given_back
  local amount = ARGV[5] == '' and charge.total - so_far or integer(ARGV[5])
  if amount <= 0 or so_far + amount > charge.total then return remember(fingerprint, { 'refund_too_large' }) end
  local w = wallet_of(charge.unit)
  if account.grants + 2 > GRANTS_MAX then return remember(fingerprint, { 'too_many_grants' }) end
  if live_total(w) + amount > ATOMS_MAX then return remember(fingerprint, { 'out_of_range' }) end

  local ids = {}
  for i = 1, #charge.drawn do
    ids[#ids + 1] = match(charge.drawn[i].name, '^grant:(.*)$')
  end
  load_grants(ids)
  local transfers, credit, notes, left, skip = {}, 0, {}, amount, so_far
  if ARGV[6] == 'new_grant' then
    credit, left = amount, 0
  end
  for i = #charge.drawn, 1, -1 do
    local drawn = charge.drawn[i]
    local skipped = math.min(skip, drawn.amount)
    skip = skip - skipped
    local part = math.min(left, drawn.amount - skipped)
    left = left - part
    local grant_id = match(drawn.name, '^grant:(.*)$')
    if part > 0 and grant_id then
      credit = credit + give_to_drawn(w, grants[grant_id], part, transfers)
    elseif part > 0 then
      local rest, note = forgive(w, drawn.name, part, transfers)
      if note then
        notes[#notes + 1] = { period = note, amount = rest }
      else
        credit = credit + rest
      end
    end
  end
  credit_grant(w, ARGV[7], credit, 'promotional', '{"refund_of":"' .. ARGV[3] .. '"}', transfers)
  for i = 1, #notes do
    -- A charge has overage of one period.
    credit_grant(w, ARGV[8], notes[i].amount, 'invoiced', '{"credit_note":"' .. notes[i].period .. '"}', transfers)
  end
  add_total(w, 'posted', -amount)
  adjust_budgets(charge, amount)
  local extra = 'charge=' .. ARGV[3] .. ';amount=' .. text_of(amount) .. ';mode=' .. ARGV[6]
  if credit > 0 then extra = extra .. ';grant=' .. ARGV[7] end
  if #notes > 0 then extra = extra .. ';note=' .. ARGV[8] end
  add_entry('refund', now, ARGV[1], ARGV[10], w, transfers, extra, ARGV[9])
  commit()
  call('HSET', KEYS[10], ARGV[3], text_of(refunded + amount))
  return remember(fingerprint, { 'done', text_of(refunded + amount), text_of(charge.total - given_back) })
end

return tell(refund())
