#!lua
--[[
Adds a credit grant. New money repays debt first where the grant says so; a grant that is not yet effective does so when
it becomes effective.

KEYS[1]   account    hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]   grants     hash    grant id -> record; i:ID -> facts
KEYS[3]   order      zset    usable grants in drawdown order
KEYS[4]   due        zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]   holds      hash    hold id -> record
KEYS[6]   ledger     stream  <seq>-0
KEYS[7]   budgets    hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]   events     zset    sequences of ledger events not yet handed over
KEYS[9]   operation  string  this operation's answer, 35 days
KEYS[10]  gkeys      hash    grant key -> grant id and fingerprint, for ever

ARGV[1]   operation_id
ARGV[2]   operation_ms   the time in it; '' where it has none
ARGV[3]   grant_id
ARGV[4]   key            unique in the account for ever; '' for none
ARGV[5]   unit
ARGV[6]   scale
ARGV[7]   amount_atoms   > 0
ARGV[8]   funding        promotional | invoiced | external
ARGV[9]   order_head     order key: priority, scope, expiry, paid, cost basis
ARGV[10]  effective_ms   '' for now
ARGV[11]  expires_ms     '' for never
ARGV[12]  filter         '' for a general grant
ARGV[13]  repays_debt    1 | 0
ARGV[14]  facts          JSON of what the scripts do not read
ARGV[15]  actor
ARGV[16]  terms          payment,availability,rollover; '' for a grant that is simply there

Returns {status, replay, grant_id, record, facts}; status, in order of precedence:
  done                 (replay 1) this operation, or this key with the same arguments, before
  conflict             operation or key were used with other arguments; or the grant id is taken
  sweep_again          more is due than one call sweeps: repeat
  id_too_old           the operation's record is gone: nobody could tell a retry
  unit_scale_mismatch  the wallet keeps another number of decimals
  too_many_grants      10,000 grants
  expired              it would never be usable
  out_of_range         the wallet would hold more than 2^53-1
  done                 the grant was added
]]
--! include lib/new_grant.lua
--! include lib/operation.lua

local GRANTS_MAX = 10000
local fingerprint = fingerprint_of(
  ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13], ARGV[14], ARGV[16]
)

-- The grant that this key made before, as it is now.
local function grant_of_key()
  local record = ARGV[4] ~= '' and call('HGET', KEYS[10], ARGV[4])
  if not record then return nil end
  local id, before = match(record, '^([^|]*)|(%x+)$')
  if before ~= fingerprint then return { 'conflict', '0' } end
  load_grants({ id })
  return { 'done', '1', id, pack_grant(grants[id]), call('HGET', KEYS[2], 'i:' .. id) }
end

local function refusal(w, amount, effective_at, expires_at)
  if w.scale and w.scale ~= integer(ARGV[6]) then return 'unit_scale_mismatch' end
  if account.grants >= GRANTS_MAX then return 'too_many_grants' end
  if expires_at and (expires_at <= now or expires_at <= effective_at) then return 'expired' end
  if live_total(w) + amount > ATOMS_MAX then return 'out_of_range' end
end

local function grant()
  local id, amount = ARGV[3], integer(ARGV[7])
  open_account(ARGV[5])
  local before = answered(fingerprint)
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0' } end
  before = grant_of_key()
  if before then return before end
  if too_old(ARGV[2]) then return { 'id_too_old', '0' } end
  if call('HEXISTS', KEYS[2], id) == 1 then return { 'conflict', '0' } end

  local w = wallet_of(ARGV[5])
  local effective_at = ARGV[10] == '' and now or integer(ARGV[10])
  local expires_at = ARGV[11] ~= '' and integer(ARGV[11]) or nil
  local refused = refusal(w, amount, effective_at, expires_at)
  if refused then return remember(fingerprint, { refused }) end

  w.scale = integer(ARGV[6])
  local transfers = {}
  local scope = ARGV[12] == '' and 'g' or 's'
  transfer(transfers, 'fund:' .. ARGV[8], 'grant:' .. id, amount)
  local made = create_grant(w, id, amount, effective_at, expires_at, ARGV[9], scope, ARGV[13], ARGV[12], ARGV[14], ARGV[16])
  if made.state == 'u' and ARGV[13] == '1' then repay_debt(w, made, transfers) end
  local extra = 'grant=' .. id .. ';scope=' .. scope .. ';effective=' .. text_of(effective_at)
    .. ';expires=' .. ARGV[11]
  if not is_paid_enough(made) then extra = extra .. ';awaits=1' end
  add_entry(find(ARGV[4], '^allowance:') and 'allowance' or 'grant', now, ARGV[1], ARGV[15], w, transfers, extra, ARGV[14])
  local record = pack_grant(made)
  commit()
  if ARGV[4] ~= '' then call('HSET', KEYS[10], ARGV[4], id .. '|' .. fingerprint) end
  return remember(fingerprint, { 'done', id, record, ARGV[14] })
end

return tell(grant())
