#!lua flags=allow-oom
--[[
Voids a grant: forfeits what is free, leaves what is consumed, lets holds end (what they release is voided).

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
ARGV[4]  info          JSON for the ledger: the reason
ARGV[5]  actor

Returns {status, replay, grant_id, record, facts}; status, in order of precedence:
  done            (replay 1) this operation before
  conflict        the operation was used with other arguments
  sweep_again     more is due than one call sweeps: repeat
  id_too_old      the operation's record is gone
  unknown_grant
  already_voided
  expired         nothing of it is usable any more
  done            voided
]]
--! include lib/grant_details.lua
--! include lib/operation.lua

local id = ARGV[3]

local function void_grant(grant)
  local w = wallet_of(grant.unit)
  local rest, transfers = grant.free, {}
  change_free(w, grant, -rest)
  if grant.state == 'u' then
    w.pinned = w.pinned - grant.held
    order_changes[grant.member] = false
  end
  due_changes['g' .. id], due_changes['e' .. id] = false, false
  grant.state, grant.voided, grant.voided_at = 'v', grant.voided + rest, text_of(now)
  add_total(w, 'expired', rest)
  transfer(transfers, 'grant:' .. id, 'voided', rest)
  add_entry('grant_void', now, ARGV[1], ARGV[5], w, transfers, 'grant=' .. id, ARGV[4])
end

local function grant_void()
  local fingerprint = fingerprint_of(id, ARGV[4])
  open_account('')
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  load_grants({ id })
  local grant = grants[id]
  if not grant then return remember(fingerprint, { 'unknown_grant' }) end
  if grant.state == 'v' or grant.state == 'c' then return remember(fingerprint, { 'already_voided' }) end
  if grant.state == 'x' then return remember(fingerprint, { 'expired' }) end
  void_grant(grant_details(grant))
  local record = pack_grant(grant)
  commit()
  return remember(fingerprint, { 'done', id, record, call('HGET', KEYS[2], 'i:' .. id) })
end

return tell(grant_void())
