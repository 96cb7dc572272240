#!lua flags=allow-oom
--[[
Stops new holds of a run, a user, a key or a request, or allows them again. What is open goes on and settles.

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
ARGV[3]  name          run:VALUE | user:VALUE | key:VALUE | request:VALUE, the value percent-encoded
ARGV[4]  stop          JSON of the stop; '' allows again
ARGV[5]  info          JSON for the ledger: the reason
ARGV[6]  actor

Returns {status, replay}; status, in order of precedence:
  done            (replay 1) this operation before
  conflict        the operation was used with other arguments
  sweep_again     more is due than one call sweeps: repeat
  id_too_old      the operation's record is gone
  unknown_stop    there is none to be lifted
  too_many_stops  1,000 are in force
  done
]]
--! include lib/operation.lua

local STOPS_MAX = 1000

local function stop()
  local fingerprint = fingerprint_of(ARGV[3], ARGV[4] == '' and '0' or '1', ARGV[5])
  open_account('')
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  local field = 's:' .. ARGV[3]
  local there = call('HEXISTS', KEYS[1], field) == 1
  local lifted = ARGV[4] == ''
  if lifted and not there then return remember(fingerprint, { 'unknown_stop' }) end
  if not lifted and not there and account.stops >= STOPS_MAX then return remember(fingerprint, { 'too_many_stops' }) end
  if lifted then
    account.stops = account.stops - 1
  elseif not there then
    account.stops = account.stops + 1
  end
  local extra = 'stopped=' .. ARGV[3] .. ';in_force=' .. (lifted and '0' or '1')
  add_entry('stop', now, ARGV[1], ARGV[6], nil, {}, extra, ARGV[5])
  commit()
  if lifted then
    call('HDEL', KEYS[1], field)
  else
    call('HSET', KEYS[1], field, ARGV[4])
  end
  return remember(fingerprint, { 'done' })
end

return tell(stop())
