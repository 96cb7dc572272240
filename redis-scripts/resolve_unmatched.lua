#!lua flags=allow-oom
--[[
An operator's word on a settle that came too late to be charged: it is charged after all, forced as a late settle is, or
dismissed. Once. It counts in no budget: its windows are long over.

KEYS[1]  account    hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD, u:SEQ, unmatched
KEYS[2]  grants     hash    grant id -> record; i:ID -> facts
KEYS[3]  order      zset    usable grants in drawdown order
KEYS[4]  due        zset    what time decides: hID (deadline), gID (edge)
KEYS[5]  holds      hash    hold id -> record
KEYS[6]  ledger     stream  <seq>-0
KEYS[7]  budgets    hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events     zset    sequences of ledger events not yet handed over
KEYS[9]  operation  string  this operation's answer, 35 days

ARGV[1]  operation_id
ARGV[2]  operation_ms   the time in it; '' where it has none
ARGV[3]  unmatched_seq  of the unmatched entry
ARGV[4]  decision       charge | dismiss
ARGV[5]  posted_atoms   what the call's timeout posted, at price; 0 without one
ARGV[6]  reason         JSON, what makes the operation this one
ARGV[7]  info           JSON for the ledger
ARGV[8]  actor

Returns {status, replay, seq, charged_atoms}; status, in order of precedence:
  done               (replay 1) this operation before
  conflict           the operation was used with other arguments
  sweep_again        more is due than one call sweeps: repeat
  id_too_old         the operation's record is gone
  already_resolved   nobody waits for a word on this entry
  nothing_to_charge  the call's timeout posted as much already, or more
  out_of_range       what is owed could pass 2^53-1
  done               charged, or dismissed: seq of the entry, what was charged
]]
--! include lib/posting.lua
--! include lib/operation.lua

local function decide()
  local fingerprint = fingerprint_of(ARGV[3], ARGV[4], ARGV[6])
  open_account('')
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  local field = 'u:' .. ARGV[3]
  local record = redis.call('HGET', KEYS[1], field)
  if not record then return remember(fingerprint, { 'already_resolved' }) end
  local call, final, unit, timed_out, policy_text, facts = string.match(record, '^([^|]*)|(%d+)([^|]*)|([01])|([^|]*)|(.*)$')
  if not call then error('unmatched record of an unknown form') end
  local w, extra = wallet_of(unit), 'unmatched=' .. ARGV[3]
  local charged, seq = 0, nil
  if ARGV[4] == 'dismiss' then
    seq = add_entry('unmatched', now, ARGV[1], ARGV[8], w, {}, extra .. ';dismissed=1', ARGV[7])
  else
    local excess = integer(final) - integer(ARGV[5])
    if excess <= 0 then return remember(fingerprint, { 'nothing_to_charge' }) end
    local policy = read_policy(policy_text)
    if policy.observe then policy = observed(policy) end
    if not hold_in_range(w, multiply_up(excess, policy.multiplier)) then
      return remember(fingerprint, { 'out_of_range' })
    end
    local transfers, drawn = {}, {}
    local over, overrun = post_forced(w, policy, facts, excess, 0, drawn, transfers, { base = 0, amount = 0 })
    charged = charged_by(drawn, over, overrun)
    add_total(w, 'posted', charged)
    extra = 'late=1;' .. extra .. ';timed_out=' .. timed_out
    if overrun > 0 then extra = extra .. ';overrun=' .. text_of(overrun) end
    seq = add_entry('late_settle', now, call, ARGV[8], w, transfers, extra, ARGV[7])
  end
  commit()
  redis.call('HDEL', KEYS[1], field)
  redis.call('HINCRBY', KEYS[1], 'unmatched', -1)
  return remember(fingerprint, { 'done', text_of(seq), text_of(charged) })
end

return tell(decide())
