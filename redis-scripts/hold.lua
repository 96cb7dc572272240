#!lua
--[[
Reserves the ceiling of a call before it is sent, so that concurrent calls cannot spend the same money twice: the largest
whole number of output tokens in [least, want] that usable grants and the policy's overage pay for. First phase;
settle.lua, void.lua or the timeout is the second.

KEYS[1]  account     hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]  grants      hash    grant id -> record; i:ID -> facts
KEYS[3]  order       zset    usable grants in drawdown order
KEYS[4]  due         zset    what time decides: hID (deadline), gID (edge)
KEYS[5]  holds       hash    hold id -> record
KEYS[6]  ledger      stream  <seq>-0
KEYS[7]  operations  hash    ends of the calls whose ids fall in ten minutes
KEYS[8]  refusals    stream  bounded
KEYS[9]  denials     hash    refused holds whose ids fall in one minute

ARGV[1]   hold_id        operation id: a retry sends the same one
ARGV[2]   id_ms          the time in it
ARGV[3]   unit
ARGV[4]   scale          decimals of the unit
ARGV[5]   policy         mode,limit_atoms,multiplier_millionths,period,observe
ARGV[6]   facts          model;upstream;endpoint;key;run;user;labels
ARGV[7]   floor_atoms    certainly spent once the call is sent
ARGV[8]   on_timeout     known | release | full
ARGV[9]   price_version
ARGV[10]  fixed_atoms    integer >= 0
ARGV[11]  per_token_atoms
ARGV[12]  least_tokens   0 <= least <= want <= total
ARGV[13]  want_tokens
ARGV[14]  total_tokens
ARGV[15]  deadline_ms    from now
ARGV[16]  dry_run        1: decide and answer, write nothing
ARGV[17]  info           JSON for the ledger
ARGV[18]  late_window_ms how long after a timeout the call's own end still counts

Returns {status, replay, …}; status, in order of precedence:
  from_ledger          held before with the same arguments: seq, entry, info of the hold's ledger entry
  conflict             this id was used with other arguments
  id_closed            an end for this id came before the hold
  sweep_again          more is due than one call sweeps: repeat
  sweep_first          a dry run, which writes nothing, while something is due: sweep, then repeat
  id_too_old           its records are gone: nobody could tell a retry
  frozen               no hold while the account is frozen
  too_many_holds       10,000 are open
  out_of_range         an amount beyond 2^53-1
  held_by_open_calls   needed, available: it would fit if what open holds have came back
  insufficient_funds   needed, available
  held                 seq;tokens;payable_tokens;held;over_mode;over;available;would

A refusal changes nothing but the denial's record, the list of refusals, and what time had decided.
Invariants: held of the wallet = sum of open holds = their slices and overage; slices are a prefix of the order.
]]
--! include lib/sweep.lua
--! include lib/records.lua
--! include lib/refusals.lua

local OPEN_HOLDS_MAX = 10000
local DENIALS_MS = 60000

local id, id_ms, unit, scale = ARGV[1], integer(ARGV[2]), ARGV[3], integer(ARGV[4])
local dry_run = ARGV[16] == '1'
local fingerprint = fingerprint_of(
  ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13], ARGV[14], ARGV[15],
  ARGV[18]
)

-- What this id was answered before, or nil.
local function answered()
  local hold = find_hold(id)
  if hold then
    if hold.fingerprint ~= fingerprint then return { 'conflict', '0', '0', '0' } end
    return answer_from_ledger(hold.seq)
  end
  local record = redis.call('HGET', KEYS[7], id)
  if record then
    local ended = read_record(record)
    if ended.fingerprint == '' then return { 'id_closed', '0', '0', '0' } end
    if ended.fingerprint ~= fingerprint then return { 'conflict', '0', '0', '0' } end
    return answer_from_ledger(ended.hold_seq)
  end
  local denied = redis.call('HGET', KEYS[9], id)
  if denied then
    local before, status, needed, available = string.match(denied, '^(%w+)|([%l_]+)|(%d+)|(%d+)$')
    if before ~= fingerprint then return { 'conflict', '0', '0', '0' } end
    return { status, '1', needed, available }
  end
end

local function refuse(status, needed, available)
  local needed_text, available_text = text_of(needed), text_of(available)
  if not dry_run then
    local record = fingerprint .. '|' .. status .. '|' .. needed_text .. '|' .. available_text
    redis.call('HSET', KEYS[9], id, record)
    redis.call('PEXPIRE', KEYS[9], DENIALS_MS)
    count_refusal(KEYS[8], 'hold', id, status, needed_text, available_text)
  end
  return { status, '0', needed_text, available_text }
end

-- Tokens up to `most` that `funds` pay for beside the fixed part; -1 where they do not even pay for that.
local function affordable(funds, fixed, per_token, most)
  if funds < fixed then return -1 end
  if per_token == 0 then return most end
  return math.min(most, math.floor((funds - fixed) / per_token))
end

--[[
Decides the money: a refusal, or tokens, payable tokens, the policy that the overage follows, and what observe would
have answered. Budgets and stops belong here: each is a further bound on the tokens, found before anything is written.
]]
local function decide(w, fixed, per_token, least, want, total)
  local enforced = read_policy(ARGV[5])
  local found, free, pinned = eligible_grants(unit, ARGV[6], fixed + per_token * total)
  local funds = math.min(ATOMS_MAX, free + overage_room(w, enforced))
  local tokens = affordable(funds, fixed, per_token, want)
  local decision = { found = found, free = free, funds = funds, policy = enforced, would = '' }
  if tokens < least then
    local all_back = free + pinned + overage_room(w, enforced, 0)
    decision.refusal = fixed + per_token * least <= all_back and 'held_by_open_calls' or 'insufficient_funds'
  end
  if enforced.observe then
    decision.would, decision.refusal = decision.refusal or '', nil
    decision.policy, decision.tokens, decision.payable = observed(enforced), want, total
  else
    decision.tokens, decision.payable = tokens, affordable(funds, fixed, per_token, total)
  end
  return decision
end

local function open_hold(w, decision, amount, over_base, over)
  -- A dry run holds nothing: available stays what it is.
  local available = w.available
  local slices = pin(w, decision.found, amount - over_base)
  hold_overage(w, decision.policy, over)
  local held = slices_total(slices) + over
  if not dry_run then available = w.available end
  local over_mode = over > 0 and decision.policy.mode or ''
  local reply = text_of(decision.tokens) .. ';' .. text_of(decision.payable) .. ';' .. text_of(held)
    .. ';' .. over_mode .. ';' .. text_of(over) .. ';' .. text_of(available) .. ';' .. decision.would
  if dry_run then return '0;' .. reply end
  account.open_holds = account.open_holds + 1
  local deadline = text_of(now + integer(ARGV[15]))
  holds[id] = {
    id = id, state = 'o', fingerprint = fingerprint, created_at = text_of(now), deadline = deadline, unit = unit,
    policy = ARGV[5], on_timeout = ARGV[8], late_ms = integer(ARGV[18]), floor = integer(ARGV[7]), known = 0, over_base = over_base, over = over,
    slices = slices, checkpoint = '', ended = '', seq = text_of(account.seq + 1), price_version = ARGV[9], facts = ARGV[6],
  }
  holds_changed[id] = true
  due_changes['h' .. id] = number_of(deadline)
  local extra = 'tokens=' .. text_of(decision.tokens) .. ';slices=' .. pack_slices(slices)
  if decision.payable ~= decision.tokens then extra = extra .. ';payable=' .. text_of(decision.payable) end
  if over > 0 then extra = extra .. ';over=' .. over_account(decision.policy) .. '=' .. text_of(over) end
  if ARGV[9] ~= '' then extra = extra .. ';price=' .. ARGV[9] end
  if decision.would ~= '' then extra = extra .. ';would=' .. decision.would end
  local seq = add_entry('hold', now, id, '', w, {}, extra, ARGV[17])
  commit()
  return text_of(seq) .. ';' .. reply
end

local function hold()
  open_account(unit)
  local before = answered()
  if before then return before end
  if dry_run then
    if #redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', text_of(now), 'LIMIT', 0, 1) > 0 then return { 'sweep_first' } end
  elseif sweep_and_commit() then
    return { 'sweep_again' }
  end

  local fixed, per_token = integer(ARGV[10]), integer(ARGV[11])
  local least, want, total = integer(ARGV[12]), integer(ARGV[13]), integer(ARGV[14])
  local w = wallet_of(unit)
  if w.scale and w.scale ~= scale then error('unit_scale_mismatch: ' .. unit .. ' has ' .. w.scale .. ' decimals') end
  w.scale = scale
  if now - id_ms > RECORDS_MS then return { 'id_too_old', '0', '0', '0' } end
  if account.frozen then return refuse('frozen', 0, 0) end
  if account.open_holds >= OPEN_HOLDS_MAX then return refuse('too_many_holds', 0, 0) end
  if affordable(ATOMS_MAX, fixed, per_token, least) < least then return refuse('out_of_range', 0, 0) end

  local needed = fixed + per_token * least
  local decision = decide(w, fixed, per_token, least, want, total)
  if decision.refusal then return refuse(decision.refusal, needed, decision.funds) end
  if affordable(ATOMS_MAX, fixed, per_token, decision.tokens) < decision.tokens then
    return refuse('out_of_range', needed, decision.funds)
  end
  local amount = fixed + per_token * decision.tokens
  local over_base = math.max(0, amount - decision.free)
  local over = multiply_up(over_base, decision.policy.multiplier)
  if not hold_in_range(w, amount - over_base + over) then return refuse('out_of_range', needed, decision.funds) end
  return { 'held', '0', open_hold(w, decision, amount, over_base, over) }
end

return hold()
