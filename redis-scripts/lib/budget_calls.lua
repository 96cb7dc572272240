-- What budgets do for calls that are timed out, late, given their next slice or refunded, and at the end of a counter.

local further = {}
local windows = rare_functions()

local function read_kept(text)
  local list, fields = {}, fields_of(text)
  for name, start, amount, floor, known, limit in string.gmatch(text, '([^@,]+)@(%d+):(%d+):(%d+):(%d+):(%d*)') do
    local field = fields[#list + 1]
    list[#list + 1] = {
      name = name, field = field, start = start + 0, amount = amount + 0, floor = floor + 0, known = known + 0,
      limit = limit, measure = field and measure_of(field),
    }
  end
  return list
end

local function pack_kept(list)
  local parts = {}
  for i = 1, #list do
    local item = list[i]
    parts[i] = item.name .. '@' .. text_of(item.start) .. ':' .. text_of(item.amount) .. ':' .. text_of(item.floor)
      .. ':' .. text_of(item.known) .. ':' .. item.limit
  end
  return concat(parts, ',')
end

local function touch(counter)
  counter.touched = now
  changed[counter] = true
end

local function slot_of_item(item)
  local counter = counters[item.field]
  return counter and windows.find_slot(counter, item.start), counter
end

--[[
As finish does, with what a timeout or a late end comes to: final_of(item). The hold then keeps what was posted: nothing
where the window is gone.
]]
function further.finish(hold, final_of, late)
  local list, entry = read_kept(hold.budgets), {}
  for i = 1, #list do
    local item = list[i]
    local slot, counter = slot_of_item(item)
    local final = final_of(item)
    -- Nothing is held of it any more, and it may go: its field finds what is there when a late end comes.
    item.name = item.field or item.name
    if slot then
      if late then
        -- The difference first: a sum of two large amounts is not exact.
        slot.spent = math.max(0, math.min(ATOMS_MAX, slot.spent + (final - item.amount)))
      else
        slot.held = slot.held - item.amount
        slot.spent = math.min(ATOMS_MAX, slot.spent + final)
      end
      windows.prune(counter)
      touch(counter)
      entry[#entry + 1] = counter.id .. '@' .. text_of(item.start) .. ':' .. text_of(final)
      item.amount = final
    end
  end
  hold.budgets = pack_kept(list)
  return #entry > 0 and ';budgets=' .. concat(entry, ',') or ''
end

-- What a timeout posts of an item.
function further.timed_out(hold)
  return function(item)
    if item.measure == 'concurrent' or hold.on_timeout == 'release' then return 0 end
    if hold.on_timeout == 'full' then return item.amount end
    return math.min(item.amount, math.max(item.floor, item.known))
  end
end

--[[
How many more tokens the budgets of an open hold allow, at most `want`; the item that allows the least; and whether
only open holds are in the way of `least` tokens. each_of: MEASURE -> amount a token.
]]
function further.room_to_extend(hold, each_of, want, least)
  local list = read_kept(hold.budgets)
  local tokens, tightest, only_held = want, nil, nil
  for i = 1, #list do
    local item = list[i]
    local counter, each = counters[item.field], each_of[item.measure] or 0
    if item.limit ~= '' and counter and each > 0 then
      local slots = windows.slots_of(counter)
      local spec = { start = item.start, part = counter.part, length = counter.length }
      local spent, held, own = 0, 0, 0
      for j = 1, #slots do
        local slot = slots[j]
        if windows.counts_now(spec, slot) then
          spent, held = spent + slot.spent, held + slot.held
          if slot.start == item.start then own = item.amount end
        end
      end
      -- A rolling window that the hold has left counts nothing of it any more.
      if own > 0 or not spec.part then
        local fits = math.floor(math.max(0, integer(item.limit) - spent - held) / each)
        if fits < tokens then
          tokens, tightest = fits, item
          only_held = spent + own + each * least <= integer(item.limit)
        end
      end
    end
  end
  return list, tokens, tightest, only_held
end

-- Whether so many more tokens stay numbers that Redis keeps exactly.
function further.extend_in_range(list, each_of, tokens)
  for i = 1, #list do
    local item = list[i]
    local each = each_of[item.measure] or 0
    local slot = slot_of_item(item)
    local counted = math.max(item.amount, slot and slot.spent + slot.held or 0)
    -- What calls without a hold came to may already be beyond: no token more is in range even so.
    if each > 0 and tokens > math.max(0, math.floor((ATOMS_MAX - counted) / each)) then return false end
  end
  return true
end

function further.extend(hold, list, each_of, tokens, known_of)
  local entry = {}
  for i = 1, #list do
    local item = list[i]
    local more = (each_of[item.measure] or 0) * tokens
    local slot, counter = slot_of_item(item)
    item.known = math.max(item.known, known_of[item.measure] or 0)
    -- A counter may have ended under a hold that holds nothing of it: what is not counted there must not leave it again.
    if slot and more > 0 then
      item.amount = item.amount + more
      slot.held = slot.held + more
      touch(counter)
      entry[#entry + 1] = counter.id .. '@' .. text_of(item.start) .. ':' .. text_of(more)
    end
  end
  hold.budgets = pack_kept(list)
  return #entry > 0 and ';budgets=' .. concat(entry, ',') or ''
end

-- A refund: what a charge counted in a window, less what is given back of it. By its share where the unit is another.
function further.give_back(id, start, counted, amount, charge)
  local field = call('HGET', KEYS[7], 'i:' .. id)
  local measure = field and measure_of(field)
  if not measure or measure == 'tokens' or measure == 'requests' or measure == 'concurrent' then return end
  load_counters({ field })
  local counter = counters[field]
  local slot = counter and windows.find_slot(counter, start)
  if not slot then return end
  local part = measure == charge.unit and amount or math.floor(counted * (amount / charge.total))
  slot.spent = math.max(0, slot.spent - part)
  touch(counter)
end

-- The end of a counter's life: gone where nothing used it meanwhile, looked at again later where something did.
function further.retire(id)
  local field = call('HGET', KEYS[7], 'i:' .. id)
  due_changes['b' .. id] = false
  if not field then return end
  load_counters({ field })
  local counter = counters[field]
  if not counter then return end
  local slots, held = windows.slots_of(counter), 0
  for i = 1, #slots do
    held = held + slots[i].held
  end
  if held > 0 or counter.touched + counter.life > now then
    due_changes['b' .. id] = held > 0 and now + counter.life or counter.touched + counter.life
    return
  end
  if counter.group ~= '' then
    group_sizes[counter.group] = math.max(0, windows.size_of_group(counter.group) - 1)
    groups_changed[counter.group] = true
  end
  -- Not there any more for what the same sweep ends after it.
  counters[field], counter.gone = false, true
  changed[counter] = true
  if match(field, '^[^~]*~[^~]*~lifetime~') then
    -- It has one window, from the beginning on.
    local extra = 'counter=' .. id .. '=' .. field .. ';spent=' .. text_of(slots[1].spent)
    add_entry('event', now, 'budget.closed', '', nil, {}, extra, '')
  end
end

-- When enough of what counts now will have left the window for `needed`; '' where time alone does not heal it.
function further.resets_at(spec, needed)
  if spec.ends then return text_of(spec.ends) end
  local counter = counters[spec.field]
  if not spec.part or not counter then return '' end
  -- From the newest part on, as long as they fit: what all come to may be more than is exact.
  local room, slots = spec.limit - needed, windows.slots_of(counter)
  if room < 0 then return '' end
  for i = #slots, 1, -1 do
    local slot = slots[i]
    if windows.counts_now(spec, slot) then
      room = room - slot.spent - slot.held
      if room < 0 then return text_of(slot.start + spec.part + spec.length) end
    end
  end
  return ''
end

-- A counter as it is after what this script did: its record, or nil where it is gone. For reads.
function further.current(field, record)
  local counter = counters[field]
  if counter == nil then return record end
  if not counter then return nil end
  return counter.slots and windows.pack(counter) or record
end
