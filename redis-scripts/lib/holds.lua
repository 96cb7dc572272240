-- Holds: records, and how one opens.
--! include lib/grants.lua
--! include lib/budgets.lua
--! include lib/events.lua

-- "GRANT:AMOUNT,…" in the order of drawing, and what they come to.
local function read_slices(text)
  local slices, total = {}, 0
  for id, amount in string.gmatch(text, '([^:,]+):(%d+)') do
    slices[#slices + 1] = { id = id, amount = amount + 0 }
    total = total + amount
  end
  return slices, total
end

local function pack_slices(slices)
  if #slices == 1 then return slices[1].id .. ':' .. text_of(slices[1].amount) end
  local parts = {}
  for i = 1, #slices do
    parts[i] = slices[i].id .. ':' .. text_of(slices[i].amount)
  end
  return concat(parts, ',')
end

--[[
state: o(pen), t(imed out: slices and overage are what was posted), l(ate settled; kept until the late window ends).
over_base: the overage at price; over: what it counts, at the multiplier of the policy.
seq: of its ledger entry, which has what it was answered.
budgets: NAME@start:amount:floor:known:limit,… of what it counts, NAME being a counter's id, or its field (of what holds
nothing, and in older holds); after a timeout amount is what was posted.
tail: what the usual end does not need (lib/hold_details.lua).
]]
local function find_hold(id, record)
  local hold = holds[id]
  if hold ~= nil then return hold end
  record = record or call('HGET', KEYS[5], id)
  holds[id] = false
  if not record then return false end
  local state, unit, over_base, over, seq, fingerprint, policy, slices, rest_at =
    match(record, '^1|(%l)|([^|]*)|(%d+)|(%d+)|(%d+)|(%x*)|([^|]*)|([^|]*)|()')
  if not state then error('hold record of an unknown form: ' .. id) end
  local budgets_end = find(record, '|', rest_at, true)
  hold = {
    id = id, state = state, unit = unit, over_base = over_base + 0, over = over + 0, seq = seq, fingerprint = fingerprint,
    policy = policy, budgets = sub(record, rest_at, budgets_end - 1), tail = sub(record, budgets_end + 1),
  }
  hold.slices, hold.sliced = read_slices(slices)
  holds[id] = hold
  return hold
end

local function slices_total(slices)
  local total = 0
  for i = 1, #slices do
    total = total + slices[i].amount
  end
  return total
end

-- Whether so much more may be held: what is owed and what is held, which may come to be owed, stay numbers together.
local function hold_in_range(w, amount)
  return math.max(w.debt, w.overflow, w.flagged, w.postpaid) + w.held + amount <= ATOMS_MAX
end

local function grants_of_slices(slices)
  local ids = {}
  for i = 1, #slices do
    ids[i] = slices[i].id
  end
  load_grants(ids)
end

-- Pins `amount`, which the grants found cover, in their order; answers the slices and what they come to.
local function pin(w, found, amount)
  local slices, left = {}, amount
  for i = 1, #found do
    if left == 0 then break end
    local grant = found[i]
    local part = math.min(left, grant.free)
    change_free(w, grant, -part)
    grant.held = grant.held + part
    slices[#slices + 1] = { id = grant.id, amount = part }
    left = left - part
  end
  w.pinned, w.held = w.pinned + amount, w.held + amount
  return slices, amount
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
    local entry = entries[i]
    call('XADD', KEYS[6], text_of(entry[1]) .. '-0', 'e', entry[2], 'i', entry[3])
  end
  call('HSET', KEYS[1], unpack(account_fields()))
  if account.timeouts then
    call('HINCRBY', KEYS[1], 'timeouts', text_of(account.timeouts))
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
  write_changes(KEYS[3], 'ZADD', 'ZREM', order_changes)
  write_changes(KEYS[4], 'ZADD', 'ZREM', due_changes)
  changes = {}
  for id in pairs(holds_changed) do
    local h = holds[id]
    changes[id] = h and '1|' .. h.state .. '|' .. h.unit .. '|' .. text_of(h.over_base) .. '|' .. text_of(h.over)
      .. '|' .. h.seq .. '|' .. h.fingerprint .. '|' .. h.policy .. '|' .. (h.slices_text or pack_slices(h.slices)) .. '|' .. h.budgets
      .. '|' .. (h.tail or h.pack_tail(h))
  end
  write_changes(KEYS[5], 'HSET', 'HDEL', changes)
  if budgets then budgets.write() end
  if events then events.write() end
  entries, grants_changed, holds_changed, grant_facts, order_changes, due_changes = {}, {}, {}, {}, {}, {}
end
