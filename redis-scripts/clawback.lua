#!lua flags=allow-oom
--[[
Takes a grant back whose money was taken back (a chargeback): what is free is voided, what was consumed becomes debt, and
of what open holds have the part that is settled later becomes debt and the part that is released is voided.

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
ARGV[4]  amount_atoms  '' for all of it
ARGV[5]  freeze        1: the account is frozen too
ARGV[6]  info          JSON for the ledger: the reason
ARGV[7]  actor

Returns {status, replay, grant_id, record, facts}; status, in order of precedence:
  done             (replay 1) this operation before
  conflict         the operation was used with other arguments
  sweep_again      more is due than one call sweeps: repeat
  id_too_old       the operation's record is gone
  unknown_grant
  already_clawed_back
  out_of_range     more than is free and consumed, and not all of it; or the debt would pass 2^53-1
  done             taken back
]]
--! include lib/claw.lua
--! include lib/operation.lua

local id = ARGV[3]

local function clawback()
  local fingerprint = fingerprint_of(id, ARGV[4], ARGV[5], ARGV[6])
  open_account('')
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  load_grants({ id })
  local grant = grants[id]
  if not grant then return remember(fingerprint, { 'unknown_grant' }) end
  grant_details(grant)
  if grant.state == 'c' then return remember(fingerprint, { 'already_clawed_back' }) end
  local w = wallet_of(grant.unit)
  local whole = ARGV[4] == '' or integer(ARGV[4]) == grant.free + grant.consumed + grant.held
  local amount = whole and grant.free + grant.consumed or integer(ARGV[4])
  -- What open holds have may come to be owed too.
  local most_owed = w.debt + w.held + math.min(grant.consumed, math.max(0, amount - grant.free)) + (whole and grant.held or 0)
  if amount > grant.free + grant.consumed or most_owed > ATOMS_MAX then
    return remember(fingerprint, { 'out_of_range' })
  end
  local transfers = {}
  claw_back(w, grant, amount, whole, transfers)
  local extra = 'grant=' .. id
  if whole then extra = extra .. ';whole=1' end
  if ARGV[5] == '1' then
    account.frozen = true
    extra = extra .. ';frozen=1'
  end
  add_entry('clawback', now, ARGV[1], ARGV[7], w, transfers, extra, ARGV[6])
  local record = pack_grant(grant)
  commit()
  return remember(fingerprint, { 'done', id, record, call('HGET', KEYS[2], 'i:' .. id) })
end

return tell(clawback())
