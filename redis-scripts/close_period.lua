#!lua flags=allow-oom
--[[
Closes an overflow period: from then on it is an invoice item and never changes. What open holds that pin it come to goes
to the period that is open; a refund of it is a credit note.

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
ARGV[4]  period
ARGV[5]  heir          the period that late charges go to
ARGV[6]  force         1: although open holds pin it
ARGV[7]  info          JSON for the ledger: the reason
ARGV[8]  actor

Returns {status, replay, amount_atoms, closed_at}; status, in order of precedence:
  done            (replay 1) this operation before
  conflict        the operation was used with other arguments
  sweep_again     more is due than one call sweeps: repeat
  id_too_old      the operation's record is gone
  unknown_period  nothing was ever held or posted in it
  already_closed  amount, when
  open_holds      amount, '' : open holds pin it
  done            amount, when
]]
--! include lib/overage.lua
--! include lib/operation.lua

local function close()
  local fingerprint = fingerprint_of(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
  open_account(ARGV[3])
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  local w = wallet_of(ARGV[3])
  if call('HEXISTS', KEYS[1], 'o:' .. w.unit .. ':' .. ARGV[4]) == 0 then
    return remember(fingerprint, { 'unknown_period' })
  end
  local period = period_of(w.unit, ARGV[4])
  local amount = text_of(period.posted)
  if period.closed_at ~= '' then return remember(fingerprint, { 'already_closed', amount, period.closed_at }) end
  if period.held > 0 and ARGV[6] ~= '1' then return remember(fingerprint, { 'open_holds', amount, '' }) end
  period.closed_at, period.heir, period.changed = text_of(now), ARGV[5], true
  local extra = 'period=' .. ARGV[4] .. ';amount=' .. amount .. ';heir=' .. ARGV[5]
  add_entry('overflow_close', now, ARGV[1], ARGV[8], w, {}, extra, ARGV[7])
  commit()
  return remember(fingerprint, { 'done', amount, text_of(now) })
end

return tell(close())
