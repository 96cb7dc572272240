#!lua flags=allow-oom
--[[
Says how far the payment of a grant is. A grant that waited for it becomes usable; a payment that failed takes it back.

KEYS[1]  account    hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]  grants     hash    grant id -> record; i:ID -> facts
KEYS[3]  order      zset    usable grants in drawdown order
KEYS[4]  due        zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds      hash    hold id -> record
KEYS[6]  ledger     stream  <seq>-0
KEYS[7]  budgets    hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events     zset    sequences of ledger events not yet handed over
KEYS[9]  operation  string  this operation's answer, 35 days

ARGV[1]  operation_id
ARGV[2]  operation_ms  the time in it; '' where it has none
ARGV[3]  grant_id
ARGV[4]  payment       a(uthorized) | s(ettled) | f(ailed)
ARGV[5]  info          JSON for the ledger: the reason
ARGV[6]  actor

Returns {status, replay, grant_id, record, facts}; status, in order of precedence:
  done            (replay 1) this operation before
  conflict        the operation was used with other arguments
  sweep_again     more is due than one call sweeps: repeat
  id_too_old      the operation's record is gone
  unknown_grant
  no_payment      it was made without one
  payment_order   it is as far already, or further, or has failed
  already_voided  nothing of it is usable any more
  out_of_range    the debt would pass 2^53-1
  done
]]
--! include lib/claw.lua
--! include lib/new_grant.lua
--! include lib/operation.lua

local id, payment = ARGV[3], ARGV[4]
local RANK = { p = 0, a = 1, s = 2, f = 3 }

local function pay()
  local fingerprint = fingerprint_of(id, payment, ARGV[5])
  open_account('')
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  load_grants({ id })
  local grant = grants[id]
  if not grant then return remember(fingerprint, { 'unknown_grant' }) end
  grant_details(grant)
  local so_far, availability, rollover = terms_of(grant)
  if so_far == 'n' then return remember(fingerprint, { 'no_payment' }) end
  if RANK[payment] <= RANK[so_far] then return remember(fingerprint, { 'payment_order' }) end
  local w = wallet_of(grant.unit)
  if grant.state == 'c' then return remember(fingerprint, { 'already_voided' }) end
  if payment == 'f' and w.debt + w.held + grant.consumed + grant.held > ATOMS_MAX then
    return remember(fingerprint, { 'out_of_range' })
  end
  grant.terms = payment .. ',' .. availability .. ',' .. rollover
  grants_changed[id] = true
  local transfers, extra = {}, 'grant=' .. id .. ';payment=' .. payment
  if payment == 'f' then
    claw_back(w, grant, grant.free + grant.consumed, true, transfers)
    extra = extra .. ';whole=1'
  elseif is_paid_enough(grant) then
    extra = extra .. ';awaits=0'
    if grant.state == 'p' and grant.effective_at <= now then
      become_usable(w, grant, transfers)
    elseif grant.state == 'p' then
      due_changes['g' .. id] = grant.effective_at
    end
  end
  add_entry('payment', now, ARGV[1], ARGV[6], w, transfers, extra, ARGV[5])
  local record = pack_grant(grant)
  commit()
  return remember(fingerprint, { 'done', id, record, call('HGET', KEYS[2], 'i:' .. id) })
end

return tell(pay())
