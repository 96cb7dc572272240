-- Holds: records, and how one opens.
--! include lib/grants.lua
--! include lib/budgets.lua
--! include lib/events.lua

-- How long after a timeout the call's own end still counts, unless the hold says otherwise.
local LATE_WINDOW_MS = 86400000

local HOLD_PATTERN = '^1|(%l)|(%x*)|(%d+)|(%d+)|([^|]*)|([^|]*)|(%l+),?(%d*)|(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|([^|]*)|([^|]*)'
  .. '|([^|]*)|([^|]*)|([^|]*)|(.*)$'

-- "GRANT:AMOUNT,…" in the order of drawing.
local function read_slices(text)
  local slices = {}
  for id, amount in string.gmatch(text, '([^:,]+):(%d+)') do
    slices[#slices + 1] = { id = id, amount = number_of(amount) }
  end
  return slices
end

local function pack_slices(slices)
  local parts = {}
  for i = 1, #slices do
    parts[i] = slices[i].id .. ':' .. text_of(slices[i].amount)
  end
  return table.concat(parts, ',')
end

local function slices_total(slices)
  local total = 0
  for i = 1, #slices do
    total = total + slices[i].amount
  end
  return total
end

-- What a hold covers at price.
local function held_base(hold)
  return slices_total(hold.slices) + hold.over_base
end

--[[
state: o(pen), t(imed out: slices and overage are what was posted), l(ate settled; kept until the late window ends).
over_base: the overage at price; over: what it counts, at the multiplier of the policy.
late_ms: how long after a timeout its own end still counts; in the record only where it is not the usual day.
seq: of its ledger entry, which has what it was answered; checkpoint: number;arguments;answer of the last one;
ended: final;answer of a late settle.
budgets: FIELD@start:amount:floor:known:limit:rolling,… of what it counts; after a timeout amount is what was posted.
]]
local function read_hold(id, record)
  local state, fingerprint, created_at, deadline, unit, policy, on_timeout, late_ms, floor, known, over_base, over, slices,
    checkpoint, ended, seq, price_version, budgets_kept, facts = string.match(record, HOLD_PATTERN)
  if not state then error('hold record of an unknown form: ' .. id) end
  return {
    id = id, state = state, fingerprint = fingerprint, created_at = created_at, deadline = deadline, unit = unit,
    policy = policy, on_timeout = on_timeout,
    late_ms = late_ms == '' and LATE_WINDOW_MS or number_of(late_ms), floor = number_of(floor), known = number_of(known),
    over_base = number_of(over_base), over = number_of(over), slices = read_slices(slices),
    checkpoint = checkpoint, ended = ended, seq = seq, price_version = price_version, budgets = budgets_kept, facts = facts,
  }
end

local function pack_hold(h)
  return '1|' .. h.state .. '|' .. h.fingerprint .. '|' .. h.created_at .. '|' .. h.deadline .. '|' .. h.unit
    .. '|' .. h.policy .. '|' .. h.on_timeout .. (h.late_ms == LATE_WINDOW_MS and '' or ',' .. text_of(h.late_ms))
    .. '|' .. text_of(h.floor) .. '|' .. text_of(h.known)
    .. '|' .. text_of(h.over_base) .. '|' .. text_of(h.over) .. '|' .. pack_slices(h.slices) .. '|' .. h.checkpoint
    .. '|' .. h.ended .. '|' .. h.seq .. '|' .. h.price_version .. '|' .. h.budgets .. '|' .. h.facts
end

local function find_hold(id)
  if holds[id] == nil then
    local record = redis.call('HGET', KEYS[5], id)
    holds[id] = record and read_hold(id, record) or false
  end
  return holds[id]
end

local function grants_of_slices(slices)
  local ids = {}
  for i = 1, #slices do
    ids[i] = slices[i].id
  end
  load_grants(ids)
end

-- Pins `amount` of the grants found, in their order; answers the slices.
local function pin(w, found, amount)
  local slices = {}
  for i = 1, #found do
    if amount == 0 then break end
    local grant = found[i]
    local part = math.min(amount, grant.free)
    change_free(w, grant, -part)
    grant.held = grant.held + part
    w.pinned = w.pinned + part
    slices[#slices + 1] = { id = grant.id, amount = part }
    amount = amount - part
  end
  w.held = w.held + slices_total(slices)
  return slices
end

-- Writes all that was changed: the ledger first, which refuses before anything else was written.
local function commit()
  for _, w in pairs(wallets) do
    local balance = w.available + w.scoped + w.pinned
    if w.overage or w.alerts or w.refused or w.top_up_due or (balance ~= w.had and (w.watch or balance == 0))
      or (w.watch and w.debt ~= w.owed) then
      event_functions().look_at(w)
    end
  end
  if events then events.judge() end
  for i = 1, #entries do
    redis.call('XADD', KEYS[6], text_of(entries[i][1]) .. '-0', 'e', entries[i][2], 'i', entries[i][3])
  end
  redis.call('HSET', KEYS[1], unpack(account_fields()))
  if account.timeouts then
    redis.call('HINCRBY', KEYS[1], 'timeouts', text_of(account.timeouts))
    account.timeouts = nil
  end
  local changes = {}
  for id in pairs(grants_changed) do
    changes[id] = pack_grant(grants[id])
  end
  for id, facts_json in pairs(grant_facts) do
    changes['i:' .. id] = facts_json
  end
  write_changes(KEYS[2], 'HSET', 'HDEL', changes)
  write_changes(KEYS[3], 'ZADD', 'ZREM', order_changes, true)
  write_changes(KEYS[4], 'ZADD', 'ZREM', due_changes, true)
  changes = {}
  for id in pairs(holds_changed) do
    changes[id] = holds[id] and pack_hold(holds[id])
  end
  write_changes(KEYS[5], 'HSET', 'HDEL', changes)
  if budgets then budgets.write() end
  if events then events.write() end
  entries, grants_changed, holds_changed, grant_facts, order_changes, due_changes = {}, {}, {}, {}, {}, {}
end
