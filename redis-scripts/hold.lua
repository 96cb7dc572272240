#!lua
--[[
Reserves the ceiling of a call before it is sent, so that concurrent calls cannot spend the same money twice: the largest
whole number of output tokens in [least, want] that usable grants and the policy's overage pay for. First phase;
settle.lua, void.lua or the timeout is the second.

KEYS[1]   account     hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]   grants      hash    grant id -> record; i:ID -> facts
KEYS[3]   order       zset    usable grants in drawdown order
KEYS[4]   due         zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]   holds       hash    hold id -> record
KEYS[6]   ledger      stream  <seq>-0
KEYS[7]   budgets     hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]   events      zset    sequences of ledger events not yet handed over
KEYS[9]   operations  hash    ends of the calls whose ids fall in ten minutes
KEYS[10]  refusals    stream  bounded
KEYS[11]  denials     hash    refused holds whose ids fall in one minute

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
ARGV[19]  budgets        what the call counts against, a line each (lib/budgets.lua); '' for none
ARGV[20]  amounts        MEASURE=fixed,per_token,floor;… of what budgets measure
ARGV[21]  alerts         what the plan watches the wallet for (lib/events.lua); '' for nothing

Returns {status, replay, …}; status, in order of precedence:
  from_ledger          held before with the same arguments: seq, entry, info of the hold's ledger entry (seq alone: trimmed)
  conflict             this id was used with other arguments
  id_closed            an end for this id came before the hold
  sweep_again          more is due than one call sweeps: repeat
  sweep_first          a dry run, which writes nothing, while something is due: sweep, then repeat
  id_too_old           its records are gone: nobody could tell a retry
  frozen               no hold while the account is frozen
  stopped              the run, user, key or request was stopped by hand; rule: which
  too_many_holds       10,000 are open
  out_of_range         an amount beyond 2^53-1
  too_many_values      rule: a budget that makes one counter for each value has as many as it may
  insufficient_funds   needed, available
  budget_exceeded      needed, available of the budget named by rule; resets_at
  held_by_open_calls   needed, available (of the wallet, or of the budget named by rule): it would fit if what open
                       holds have came back
  held                 seq;tokens;payable_tokens;held;over_mode;over;available;would;exceeded (ids of budgets that flag)

Of a refusal: {status, replay, needed, available, rule, resets_at}; rule is the FIELD of a budget's counter.

A refusal changes nothing but the denial's record, the list of refusals, and what time had decided; the first one for want
of money, or of a budget in its window, writes an event too.
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
  ARGV[18], ARGV[19], ARGV[20]
)

-- What this id was answered before, or nil.
local function answered()
  local hold = find_hold(id)
  if hold then
    if hold.fingerprint ~= fingerprint then return { 'conflict', '0', '0', '0' } end
    return answer_from_ledger(hold.seq)
  end
  local record = redis.call('HGET', KEYS[9], id)
  if record then
    local ended = read_record(record)
    if ended.fingerprint == '' then return { 'id_closed', '0', '0', '0' } end
    if ended.fingerprint ~= fingerprint then return { 'conflict', '0', '0', '0' } end
    return answer_from_ledger(ended.hold_seq)
  end
  local denied = redis.call('HGET', KEYS[11], id)
  if denied then
    local before, status, needed, available, resets_at, rule =
      string.match(denied, '^(%w+)|([%l_]+)|(%d+)|(%d+)|(%d*)|(.*)$')
    if before ~= fingerprint then return { 'conflict', '0', '0', '0' } end
    return { status, '1', needed, available, rule, resets_at }
  end
end

-- The first of the refusals for want of money is an event. Written before the denial: the ledger is the first write.
local function tell_refused(needed)
  local w = wallet_of(unit)
  if string.sub(ARGV[21], 1, 1) == 'q' or (w.watch and event_functions().is_told(w, 'x')) then return end
  w.refused = needed
  commit()
end

local function refuse(status, needed, available, rule, resets_at)
  rule, resets_at = rule or '', resets_at or ''
  if status == 'insufficient_funds' and not dry_run then tell_refused(needed) end
  local needed_text, available_text = text_of(needed), text_of(available)
  if not dry_run then
    local record = fingerprint .. '|' .. status .. '|' .. needed_text .. '|' .. available_text
      .. '|' .. resets_at .. '|' .. rule
    redis.call('HSET', KEYS[11], id, record)
    redis.call('PEXPIRE', KEYS[11], DENIALS_MS)
    count_refusal(KEYS[10], 'hold', id, status, needed_text, available_text, rule)
  end
  return { status, '0', needed_text, available_text, rule, resets_at }
end

-- Tokens up to `most` that `funds` pay for beside the fixed part; -1 where they do not even pay for that.
local function affordable(funds, fixed, per_token, most)
  if funds < fixed then return -1 end
  if per_token == 0 then return most end
  return math.min(most, math.floor((funds - fixed) / per_token))
end

-- A stop by hand that names this call's run, user, key or request; nil for none.
local function stop_of()
  if account.stops == 0 then return nil end
  local key, run, user = string.match(ARGV[6], '^[^;]*;[^;]*;[^;]*;([^;]*);([^;]*);([^;]*);')
  local names = { 'request:' .. id, 'run:' .. run, 'user:' .. user, 'key:' .. key }
  local found = redis.call('HMGET', KEYS[1], 's:' .. names[1], 's:' .. names[2], 's:' .. names[3], 's:' .. names[4])
  for i = 1, 4 do
    if found[i] then return names[i] end
  end
end

-- What budgets make of the tokens: the least that any that blocks allows, and the first that refuses.
local function bound_by_budgets(specs, decision, least, want, total)
  for i = 1, #specs do
    local spec = specs[i]
    if affordable(ATOMS_MAX, spec.fixed, spec.each, least) < least then decision.too_large = true end
    if spec.blocks then
      local fits = affordable(spec.room, spec.fixed, spec.each, want)
      if fits < least then
        local needed = spec.fixed + spec.each * least
        local only_held = spec.spent + needed <= spec.limit
        local status = only_held and 'held_by_open_calls' or 'budget_exceeded'
        local refused = { status = status, needed = needed, available = spec.room, spec = spec }
        if not decision.by_budget or (decision.by_budget.status == 'held_by_open_calls' and not only_held) then
          decision.by_budget = refused
        end
      end
      decision.tokens = math.min(decision.tokens, fits)
      decision.payable = math.min(decision.payable, affordable(spec.room, spec.fixed, spec.each, total))
    end
  end
end

-- Which refusal is named: what time does not heal first, the wallet before the budgets.
local function refusal_of(decision, needed)
  local by_wallet = decision.by_wallet and { status = decision.by_wallet, needed = needed, available = decision.funds }
  local by_budget = decision.by_budget
  if by_wallet and by_budget and by_wallet.status == 'held_by_open_calls' and by_budget.status == 'budget_exceeded' then
    return by_budget
  end
  return by_wallet or by_budget
end

--[[
Decides the money: a refusal, or tokens, payable tokens, the policy that the overage follows, and what observe would
have answered. The wallet and each budget are bounds on the tokens, found before anything is written.
]]
local function decide(w, specs, fixed, per_token, least, want, total)
  local enforced = read_policy(ARGV[5])
  -- What closed meanwhile takes no more: the hold pins the period that is open.
  if enforced.mode == 'overflow' then enforced.period = open_period(unit, enforced.period) end
  local found, free, pinned = eligible_grants(unit, ARGV[6], fixed + per_token * total)
  local funds = math.min(ATOMS_MAX, free + overage_room(w, enforced))
  local decision = { found = found, free = free, funds = funds, policy = enforced, enforced = enforced, would = '' }
  decision.tokens = affordable(funds, fixed, per_token, want)
  decision.payable = affordable(funds, fixed, per_token, total)
  if decision.tokens < least then
    local all_back = free + pinned + overage_room(w, enforced, 0)
    decision.by_wallet = fixed + per_token * least <= all_back and 'held_by_open_calls' or 'insufficient_funds'
  end
  if specs then
    bound_by_budgets(specs, decision, least, want, total)
    local over_full = budgets.too_many(specs)
    if over_full then decision.over_full = { status = 'too_many_values', needed = 0, available = 0, spec = over_full } end
  end
  decision.refusal = decision.over_full or refusal_of(decision, fixed + per_token * least)
  if enforced.observe then
    if decision.refusal then
      decision.would = decision.refusal.status
      if decision.refusal.spec then decision.would = decision.would .. ':' .. decision.refusal.spec.field end
    end
    decision.refusal = nil
    decision.policy, decision.tokens, decision.payable = observed(enforced), want, total
  end
  return decision
end

-- Whether what the budgets count of so many tokens stays a number that Redis keeps exactly.
local function budgets_in_range(specs, tokens)
  for i = 1, #specs do
    local spec = specs[i]
    if affordable(ATOMS_MAX - spec.spent - spec.held, spec.fixed, spec.each, tokens) < tokens then return false end
  end
  return true
end

local function open_hold(w, specs, decision, amount, over_base, over)
  -- A dry run holds nothing: available stays what it is.
  local available = w.available
  local slices = pin(w, decision.found, amount - over_base)
  hold_overage(w, decision.policy, over)
  local held = slices_total(slices) + over
  if not dry_run then available = w.available end
  local over_mode = over > 0 and decision.policy.mode or ''
  local reply = text_of(decision.tokens) .. ';' .. text_of(decision.payable) .. ';' .. text_of(held)
    .. ';' .. over_mode .. ';' .. text_of(over) .. ';' .. text_of(available) .. ';' .. decision.would
  if dry_run then return '0;' .. reply .. ';' end
  local kept, counted, exceeded = '', '', {}
  if specs then kept, counted, exceeded = budgets.count(specs, decision.tokens) end
  account.open_holds = account.open_holds + 1
  local deadline = text_of(now + integer(ARGV[15]))
  holds[id] = {
    id = id, state = 'o', fingerprint = fingerprint, created_at = text_of(now), deadline = deadline, unit = unit,
    policy = pack_policy(ARGV[5], decision.enforced), on_timeout = ARGV[8], late_ms = integer(ARGV[18]),
    floor = integer(ARGV[7]), known = 0, over_base = over_base, over = over,
    slices = slices, checkpoint = '', ended = '', seq = text_of(account.seq + 1), price_version = ARGV[9],
    budgets = kept, facts = ARGV[6],
  }
  holds_changed[id] = true
  due_changes['h' .. id] = number_of(deadline)
  local extra = 'tokens=' .. text_of(decision.tokens) .. ';slices=' .. pack_slices(slices)
  if decision.payable ~= decision.tokens then extra = extra .. ';payable=' .. text_of(decision.payable) end
  if over > 0 then extra = extra .. ';over=' .. over_account(decision.policy) .. '=' .. text_of(over) end
  if ARGV[9] ~= '' then extra = extra .. ';price=' .. ARGV[9] end
  if decision.would ~= '' then extra = extra .. ';would=' .. decision.would end
  extra = extra .. counted
  if w.watch or ARGV[21] ~= '' then event_functions().adopt(w, ARGV[21]) end
  local seq = add_entry('hold', now, id, '', w, {}, extra, ARGV[17])
  if specs and #budgets.noted > 0 then event_functions().tell_budgets(w) end
  commit()
  return text_of(seq) .. ';' .. reply .. ';' .. table.concat(exceeded, ',')
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
  local stop = stop_of()
  if stop then return refuse('stopped', 0, 0, stop) end
  if account.open_holds >= OPEN_HOLDS_MAX then return refuse('too_many_holds', 0, 0) end
  if affordable(ATOMS_MAX, fixed, per_token, least) < least then return refuse('out_of_range', 0, 0) end

  local needed = fixed + per_token * least
  local specs = ARGV[19] ~= '' and budget_functions().open(ARGV[19], ARGV[20], now) or nil
  local decision = decide(w, specs, fixed, per_token, least, want, total)
  if decision.too_large then return refuse('out_of_range', 0, 0) end
  local refusal = decision.refusal
  if refusal then
    local spec = refusal.spec
    local resets_at = spec and refusal.status == 'budget_exceeded' and budgets.resets_at(spec, refusal.needed) or ''
    if spec and refusal.status == 'budget_exceeded' and not dry_run and event_functions().refused_by(w, specs, least) then
      commit()
    end
    return refuse(refusal.status, refusal.needed, refusal.available, spec and spec.field, resets_at)
  end
  if affordable(ATOMS_MAX, fixed, per_token, decision.tokens) < decision.tokens
    or (specs and not budgets_in_range(specs, decision.tokens)) then
    return refuse('out_of_range', needed, decision.funds)
  end
  local amount = fixed + per_token * decision.tokens
  local over_base = math.max(0, amount - decision.free)
  local over = multiply_up(over_base, decision.policy.multiplier)
  if not hold_in_range(w, amount - over_base + over) then return refuse('out_of_range', needed, decision.funds) end
  return { 'held', '0', open_hold(w, specs, decision, amount, over_base, over) }
end

return tell(hold())
