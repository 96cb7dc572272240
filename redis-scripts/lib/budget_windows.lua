-- Windows of counters one by one, and new counters: included where a call meets the first of them.

local function slots_of(counter)
  if counter.slots then return counter.slots end
  local slots = {}
  local touched = match(counter.record, '^1|(%d+)|')
  local life, group, part, length, ends, older =
    match(counter.tail, '^%d*|%d*|%d+|%d+|%d+|(%d+)|([^|]*)|(%d*)/?(%d*)|(%d*)|(.*)$')
  if not life then error('counter record of an unknown form: ' .. counter.field) end
  counter.touched, counter.life, counter.group = touched + 0, life + 0, group
  counter.part, counter.length = tonumber(part), tonumber(length)
  for start, spent, held, slot_ends in string.gmatch(older, '(%d+):(%d+):(%d+):(%d*)') do
    slots[#slots + 1] = { start = start + 0, spent = spent + 0, held = held + 0, ends = tonumber(slot_ends) }
  end
  if counter.start then
    slots[#slots + 1] = { start = counter.start, spent = counter.spent, held = counter.held, ends = tonumber(ends) }
  end
  counter.slots = slots
  return slots
end

local function pack_slot(slot)
  return text_of(slot.start) .. ':' .. text_of(slot.spent) .. ':' .. text_of(slot.held)
    .. ':' .. (slot.ends and text_of(slot.ends) or '')
end

-- When a window that is not the newest stops to count, or may be forgotten; nil: not by time.
local function leaves_at(counter, slot)
  if counter.part then return slot.start + counter.part + counter.length end
  if slot.ends and slot.held == 0 then return slot.ends + CLOSED_MS end
end

local function pack_slots(counter)
  local slots, spent, held, until_ms, older = counter.slots, 0, 0, nil, {}
  local newest = slots[#slots] or { spent = 0, held = 0 }
  for i = 1, #slots - 1 do
    local slot = slots[i]
    local leaves = leaves_at(counter, slot)
    if counter.part and leaves > now then
      spent, held = math.min(ATOMS_MAX, spent + slot.spent), math.min(ATOMS_MAX, held + slot.held)
    end
    if leaves and (not until_ms or leaves < until_ms) then until_ms = leaves end
    older[i] = pack_slot(slot)
  end
  return '1|' .. text_of(counter.touched) .. '|' .. text_of(newest.spent) .. '|' .. text_of(newest.held)
    .. '|' .. (newest.start and text_of(newest.start) or '') .. '|' .. (until_ms and text_of(until_ms) or '')
    .. '|' .. text_of(spent) .. '|' .. text_of(held) .. '|' .. counter.id .. '|' .. text_of(counter.life)
    .. '|' .. counter.group
    .. '|' .. (counter.part and text_of(counter.part) .. '/' .. text_of(counter.length) or '')
    .. '|' .. (newest.ends and text_of(newest.ends) or '') .. '|' .. concat(older, ',')
end

local function counts_now(spec, slot)
  if spec.part then return slot.start + spec.part > now - spec.length end
  return slot.start == spec.start
end

-- Of a rolling window what has left it, of a calendar one what is closed for a day and holds nothing. The newest stays:
-- the usual end of a call does not read when it closed.
local function prune(counter, spec)
  local kept = {}
  for i = 1, #counter.slots do
    local slot = counter.slots[i]
    local gone = i < #counter.slots and slot.ends and slot.held == 0 and slot.ends + CLOSED_MS <= now
    if spec and spec.part then gone = not counts_now(spec, slot) end
    if not gone then kept[#kept + 1] = slot end
  end
  counter.slots = kept
end

local function slot_of(counter, start, ends)
  local slots = slots_of(counter)
  for i = #slots, 1, -1 do
    local slot = slots[i]
    if slot.start == start then return slot end
    if slot.start < start then
      local new = { start = start, spent = 0, held = 0, ends = ends }
      table.insert(slots, i + 1, new)
      return new
    end
  end
  local first = { start = start, spent = 0, held = 0, ends = ends }
  table.insert(slots, 1, first)
  return first
end

local function find_slot(counter, start)
  local slots = slots_of(counter)
  for i = 1, #slots do
    if slots[i].start == start then return slots[i] end
  end
end

-- The window beside the one that the gateway named: its clock may be one window off, not more.
local function window_at(text, rest_at, at, start, ends)
  local before, after = match(text, '^%d+;[^;]*;%d+;(%d+),(%d+)', rest_at)
  if at < start then return before + 0, start end
  return ends, after + 0
end

local function size_of_group(group)
  if group_sizes[group] == nil then group_sizes[group] = (call('HGET', KEYS[7], 'v:' .. group) or '0') + 0 end
  return group_sizes[group]
end

local function create(spec, news)
  last_id = (last_id or (call('HGET', KEYS[7], 'next') or '0') + 0) + 1
  local counter = {
    id = text_of(last_id), field = spec.field, touched = now, life = integer(spec.life), group = spec.group,
    part = spec.part, length = spec.length, slots = {}, new = true,
  }
  counters[spec.field] = counter
  if spec.group ~= '' then
    local size, most = size_of_group(spec.group) + 1, integer(spec.most)
    group_sizes[spec.group], groups_changed[spec.group] = size, true
    if size * 5 >= most * 4 then made.noted[#made.noted + 1] = { group = spec.group, size = size, most = most } end
  end
  if counter.life > 0 then due_changes['b' .. counter.id] = now + counter.life end
  news[#news + 1] = counter.id .. '=' .. spec.field
  return counter
end
