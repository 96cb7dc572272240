#!lua
--[[
Corrects a wallet by hand. A positive amount repays debt, the rest becomes a promotional grant; a negative one voids
free parts of usable grants in drawdown order.

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
ARGV[3]  grant_id      of the grant that the rest becomes
ARGV[4]  unit
ARGV[5]  scale
ARGV[6]  amount_atoms  not 0
ARGV[7]  info          JSON for the ledger: the reason
ARGV[8]  facts         JSON of the grant
ARGV[9]  actor

Returns {status, replay}; status, in order of precedence:
  done                 (replay 1) this operation before
  conflict             the operation was used with other arguments; or the grant id is taken
  sweep_again          more is due than one call sweeps: repeat
  id_too_old           the operation's record is gone
  unit_scale_mismatch  the wallet keeps another number of decimals
  too_many_grants      10,000 grants
  out_of_range         the wallet would hold more than 2^53-1
  insufficient_funds   less is free than the amount takes away
  done
]]
--! include lib/new_grant.lua
--! include lib/operation.lua

local GRANTS_MAX = 10000

local function credit(w, amount, transfers)
  local repaid = math.min(w.debt, amount)
  post_overage(w, 'debt', -repaid)
  transfer(transfers, 'adjust', 'debt', repaid)
  local rest = amount - repaid
  if rest == 0 then return '' end
  create_grant(w, ARGV[3], rest, now, nil, CREDIT_ORDER, 'g', '0', '', ARGV[8])
  transfer(transfers, 'adjust', 'grant:' .. ARGV[3], rest)
  return 'grant=' .. ARGV[3] .. ';scope=g;effective=' .. text_of(now) .. ';expires='
end

local function debit(w, amount, transfers)
  local left = amount
  local found = eligible_grants(w.unit, nil, amount)
  for i = 1, #found do
    if left == 0 then break end
    local grant = grant_details(found[i])
    local part = math.min(left, grant.free)
    change_free(w, grant, -part)
    grant.voided = grant.voided + part
    keep_in_order(grant)
    transfer(transfers, 'grant:' .. grant.id, 'voided', part)
    left = left - part
  end
  add_total(w, 'expired', amount)
  return ''
end

local function refusal(w, amount)
  if w.scale and w.scale ~= integer(ARGV[5]) then return 'unit_scale_mismatch' end
  if amount > 0 and account.grants >= GRANTS_MAX then return 'too_many_grants' end
  if live_total(w) + amount > ATOMS_MAX then return 'out_of_range' end
  if w.available + w.scoped + amount < 0 then return 'insufficient_funds' end
end

local function adjust()
  local amount = integer(ARGV[6])
  local fingerprint = fingerprint_of(ARGV[4], ARGV[5], ARGV[6], ARGV[7])
  open_account(ARGV[4])
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  if call('HEXISTS', KEYS[2], ARGV[3]) == 1 then return { 'conflict', '0' } end

  local w = wallet_of(ARGV[4])
  local refused = refusal(w, amount)
  if refused then return remember(fingerprint, { refused }) end
  w.scale = integer(ARGV[5])
  local transfers = {}
  local extra = amount > 0 and credit(w, amount, transfers) or debit(w, -amount, transfers)
  add_entry('adjust', now, ARGV[1], ARGV[9], w, transfers, extra, ARGV[7])
  commit()
  return remember(fingerprint, { 'done' })
end

return tell(adjust())
