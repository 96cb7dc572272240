-- What hold.lua does for calls that are not usual: a repeated one, a refused one, one that may go beyond the grants.
--! include lib/overage.lua
--! include lib/answers.lua
--! include lib/refusals.lua

local DENIALS_MS = 60000

-- What this id was answered before: it has a hold, an end, or a refusal.
local function answered(hold, record, denied)
  local conflict = { 'conflict', '0', '0', '0' }
  if hold then
    if hold.fingerprint ~= ARGV[2] then return conflict end
    return answer_from_ledger(hold.seq)
  end
  if record then
    local ended = read_record(record)
    if ended.fingerprint == '' then return { 'id_closed', '0', '0', '0' } end
    if ended.fingerprint ~= ARGV[2] then return conflict end
    return answer_from_ledger(ended.hold_seq)
  end
  local before, status, needed_text, available, resets_at, rule =
    match(denied, '^(%w+)|([%l_]+)|(%d+)|(%d+)|(%d*)|(.*)$')
  if before ~= ARGV[2] then return conflict end
  return { status, '1', needed_text, available, rule, resets_at }
end

-- The first of the refusals for want of money is an event. Written before the denial: the ledger is the first write.
local function tell_refused(needed_atoms)
  local w = wallet_of(unit)
  if sub(ARGV[13], 1, 1) == 'q' or (w.watch and event_functions().is_told(w, 'x')) then return end
  w.refused = needed_atoms
  commit()
end

local function refuse(status, needed_atoms, available, rule, resets_at)
  rule, resets_at = rule or '', resets_at or ''
  if status == 'insufficient_funds' and not dry_run then tell_refused(needed_atoms) end
  local needed_text, available_text = text_of(needed_atoms), text_of(available)
  if not dry_run then
    local record = ARGV[2] .. '|' .. status .. '|' .. needed_text .. '|' .. available_text .. '|' .. resets_at .. '|' .. rule
    call('HSET', KEYS[11], id, record)
    call('PEXPIRE', KEYS[11], DENIALS_MS)
    count_refusal(KEYS[10], 'hold', id, status, needed_text, available_text, rule)
  end
  return { status, '0', needed_text, available_text, rule, resets_at }
end

-- By the refusal that refusal_of named.
local function refuse_by(w, refused, specs)
  local spec, resets_at = refused.spec, ''
  if spec and refused.status == 'budget_exceeded' then
    resets_at = budgets.further().resets_at(spec, refused.needed)
    if not dry_run and event_functions().refused_by(w, specs, least) then commit() end
  end
  return refuse(refused.status, refused.needed, refused.available, spec and spec.field, resets_at)
end

-- A stop by hand that names this call's run, user, key or request; nil for none.
local function stop_of()
  local key, run, user = match(ARGV[6], '^[^;]*;[^;]*;[^;]*;([^;]*);([^;]*);([^;]*);')
  local names = { 'request:' .. id, 'run:' .. run, 'user:' .. user, 'key:' .. key }
  local stopped = call('HMGET', KEYS[1], 's:' .. names[1], 's:' .. names[2], 's:' .. names[3], 's:' .. names[4])
  for i = 1, 4 do
    if stopped[i] then return names[i] end
  end
end

-- The first budget that refuses, one that open calls alone are in the way of after the others; nil for none.
local function refusing_budget(specs)
  local by_budget
  for i = 1, #specs do
    local spec = specs[i]
    if spec.blocks and affordable(spec.room, spec.fixed, spec.each, want) < least then
      local atoms = spec.fixed + spec.each * least
      local only_held = spec.spent + atoms <= spec.limit
      if not by_budget or (by_budget.status == 'held_by_open_calls' and not only_held) then
        local status = only_held and 'held_by_open_calls' or 'budget_exceeded'
        by_budget = { status = status, needed = atoms, available = spec.room, spec = spec }
      end
    end
  end
  return by_budget
end

-- Which refusal is named: what time does not heal first, the wallet before the budgets.
local function refusal_of(w, enforced, specs, too_many, is_wallet, money)
  if too_many then return { status = 'too_many_values', needed = 0, available = 0, spec = too_many } end
  local by_wallet, by_budget = nil, specs and refusing_budget(specs)
  if is_wallet then
    local needed_atoms = fixed + per_token * least
    local all_back = money.free + money.pinned + (enforced and overage_room(w, enforced, 0) or 0)
    local status = needed_atoms <= all_back and 'held_by_open_calls' or 'insufficient_funds'
    by_wallet = { status = status, needed = needed_atoms, available = money.funds }
  end
  if by_wallet and by_budget and by_wallet.status == 'held_by_open_calls' and by_budget.status == 'budget_exceeded' then
    return by_budget
  end
  return by_wallet or by_budget
end

-- What a call under observe would have been answered.
local function would_be(refused)
  if not refused then return '' end
  return refused.spec and refused.status .. ':' .. refused.spec.field or refused.status
end
