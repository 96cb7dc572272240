#!lua flags=allow-oom
--[[
Finance's word on flagged spend: it becomes debt, goes to an overflow period, or is written off.

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
ARGV[3]  unit
ARGV[4]  amount_atoms  > 0; '' for all of it
ARGV[5]  to            debt | overflow | written_off
ARGV[6]  period        of overflow
ARGV[7]  info          JSON for the ledger: the reason
ARGV[8]  actor

Returns {status, replay}; status, in order of precedence:
  done                (replay 1) this operation before
  conflict            the operation was used with other arguments
  sweep_again         more is due than one call sweeps: repeat
  id_too_old          the operation's record is gone
  insufficient_funds  so much is not flagged
  out_of_range        the debt or the period would pass 2^53-1
  done
]]
--! include lib/overage.lua
--! include lib/operation.lua

local function resolve()
  local fingerprint = fingerprint_of(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
  open_account(ARGV[3])
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  local w = wallet_of(ARGV[3])
  local amount = ARGV[4] == '' and w.flagged or integer(ARGV[4])
  if amount <= 0 or amount > w.flagged then return remember(fingerprint, { 'insufficient_funds' }) end
  local to = ARGV[5]
  if to == 'overflow' then to = 'overflow:' .. open_period(w.unit, ARGV[6]) end
  local owed = to == 'debt' and w.debt or w.overflow
  if to ~= 'written_off' and owed + w.held + amount > ATOMS_MAX then return remember(fingerprint, { 'out_of_range' }) end
  local transfers = {}
  post_overage(w, 'flagged', -amount)
  if to == 'written_off' then
    transfer(transfers, 'adjust', 'flagged', amount)
  else
    post_overage(w, to, amount)
    transfer(transfers, to, 'flagged', amount)
  end
  add_entry('flagged_resolve', now, ARGV[1], ARGV[8], w, transfers, 'to=' .. ARGV[5], ARGV[7])
  commit()
  return remember(fingerprint, { 'done' })
end

return tell(resolve())
