#!lua flags=allow-oom
--[[
Stops or allows new holds of an account. What is open goes on and settles.

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
ARGV[3]  frozen        1 | 0
ARGV[4]  info          JSON for the ledger: the reason
ARGV[5]  actor

Returns {status, replay}; status, in order of precedence:
  done         (replay 1) this operation before
  conflict     the operation was used with other arguments
  sweep_again  more is due than one call sweeps: repeat
  id_too_old   the operation's record is gone
  done
]]
--! include lib/operation.lua

local function freeze()
  local fingerprint = fingerprint_of(ARGV[3], ARGV[4])
  open_account('')
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  account.frozen = ARGV[3] == '1'
  add_entry('freeze', now, ARGV[1], ARGV[5], nil, {}, 'frozen=' .. ARGV[3], ARGV[4])
  commit()
  return remember(fingerprint, { 'done' })
end

return tell(freeze())
