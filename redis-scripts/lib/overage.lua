-- What grants do not cover: the policy of a hold says where it goes and how far.
--! include lib/account.lua

-- The settlement of what a provider has billed is never refused, but a figure that Redis cannot keep exactly is.
local function within_range(number)
  if number > ATOMS_MAX then error('out_of_range: ' .. text_of(number)) end
  return number
end

-- base × millionths / 1,000,000 as whole and remainder (in millionths), with no product beyond 2^53.
local function multiply(base, millionths)
  if millionths == 1000000 then return base, 0 end
  local quotient = math.floor(base / 1000000)
  local product = (base - quotient * 1000000) * millionths
  local whole = math.floor(product / 1000000)
  return quotient * millionths + whole, product - whole * 1000000
end

local function multiply_up(base, millionths)
  local whole, remainder = multiply(base, millionths)
  return remainder > 0 and whole + 1 or whole
end

-- The largest base whose product, rounded up, is <= room; at most ATOMS_MAX.
local function divide_down(room, millionths)
  if millionths == 1000000 then return room end
  if millionths == 0 then return ATOMS_MAX end
  local quotient = math.floor(room / millionths)
  local rest = math.floor((room - quotient * millionths) * 1000000 / millionths)
  return math.min(ATOMS_MAX, quotient * 1000000 + rest)
end

local function period_of(unit, name)
  local field = unit .. ':' .. name
  local period = periods[field]
  if not period then
    local record = call('HGET', KEYS[1], 'o:' .. field) or '0|0||'
    local posted, held, closed_at, heir = match(record, '^(%d+)|(%d+)|(%d*)|([^|]*)$')
    if not posted then error('overflow record of an unknown form') end
    period = { posted = posted + 0, held = held + 0, closed_at = closed_at, heir = heir }
    periods[field] = period
  end
  return period
end

-- The period that a charge of `name` goes to: itself, or the one that its closing named.
local function open_period(unit, name)
  while true do
    local period = period_of(unit, name)
    if period.closed_at == '' then return name, period end
    name = period.heir
  end
end

local OVER_ACCOUNTS = { negative = 'debt', flag = 'flagged', postpaid = 'postpaid' }

-- mode,limit,multiplier,period,observe: limit is the floor (<= 0) or the cap, the multiplier is in millionths.
local function read_policy(text)
  local mode, limit, multiplier, period, observe =
    match(text, '^(%l+),(%-?%d+),(%d+),([%w:._/+%-]*),([01])$')
  if not mode then error('policy of an unknown form: ' .. text) end
  return {
    mode = mode,
    limit = integer(limit),
    multiplier = mode == 'overflow' and integer(multiplier) or 1000000,
    period = period,
    observe = observe == '1',
  }
end

-- The policy with the period that is open: what closed meanwhile takes no more.
local function policy_now(unit, text)
  local policy = read_policy(text)
  if policy.mode == 'overflow' then policy.period = open_period(unit, policy.period) end
  return policy
end

-- The same text with the period that the policy has now.
local function pack_policy(text, policy)
  if policy.mode ~= 'overflow' then return text end
  local head, observe = match(text, '^(%l+,%-?%d+,%d+,)[^,]*(,[01])$')
  return head .. policy.period .. observe
end

-- Under observe whatever grants do not cover is flagged.
local function observed(policy)
  return { mode = 'flag', limit = 0, multiplier = 1000000, period = '', observe = true }
end

local function over_account(policy)
  if policy.mode == 'overflow' then return 'overflow:' .. policy.period end
  return OVER_ACCOUNTS[policy.mode]
end

-- Where a charge beyond the grants goes now: a closed period never changes.
local function posting_account(w, policy)
  if policy.mode == 'overflow' then return 'overflow:' .. open_period(w.unit, policy.period) end
  return over_account(policy)
end

-- How much more, at price, may go beyond the grants. `held`: as if open holds had only this much overage.
local function overage_room(w, policy, held)
  if policy.mode == 'block' then return 0 end
  if policy.mode == 'negative' then return math.max(0, -policy.limit - w.debt - (held or w.debt_held)) end
  if policy.mode == 'overflow' then
    local _, period = open_period(w.unit, policy.period)
    local room = policy.limit - period.posted - (held or period.held)
    return room > 0 and divide_down(room, policy.multiplier) or 0
  end
  return ATOMS_MAX
end

-- Spend beyond the grants, which may be the beginning of it (lib/events.lua).
local function note_overage(w, mode, name, amount)
  if mode == 'postpaid' then return end
  w.overage = w.overage or {}
  w.overage[#w.overage + 1] = { mode, name, amount }
end

-- The part of a hold that no grant covers; a negative amount releases it.
local function hold_overage(w, policy, amount)
  if amount == 0 then return end
  if amount > 0 then note_overage(w, policy.mode, over_account(policy), amount) end
  w.held = w.held + amount
  if policy.mode == 'negative' then
    w.debt_held = w.debt_held + amount
  elseif policy.mode == 'overflow' then
    local period = period_of(w.unit, policy.period)
    period.held = period.held + amount
    period.changed = true
  end
end

-- What is owed after a charge that no grant covers. A negative amount gives back; answers what could not be, for it was
-- repaid or resolved meanwhile: of an overflow period nothing ever is.
local function post_overage(w, name, amount)
  if amount == 0 then return 0 end
  local period_name = match(name, '^overflow:(.*)$')
  local field = period_name and 'overflow' or name
  local rest = math.max(0, -amount - w[field])
  if period_name then
    local period = period_of(w.unit, period_name)
    period.posted = period.posted + amount
    period.changed = true
  end
  w[field] = w[field] + amount + rest
  -- With what is held, so that a timeout, which nobody could refuse, finds room for what it posts.
  if amount > 0 then within_range(w[field] + w.held) end
  return rest
end
