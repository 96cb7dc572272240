-- Budgets: what calls use, counted in windows. Its functions are made on demand: a call without budgets pays for none.
--! include lib/account.lua

local budgets -- what budget_functions() made, once a script

--[[
A counter stands in the budgets hash under c:FIELD, FIELD being NAME~MEASURE~WINDOW~VALUES. Its record is
1|id|touched|life|group|slots. slots: start:spent:held:end,… in ms; one slot for each window, or part of a rolling one.
i:ID -> FIELD; next -> the highest id; v:GROUP -> how many counters a budget has that makes one for each value.
e:ID, x:GROUP: what was told of it (lib/events.lua).
]]
local function budget_functions()
  if budgets then return budgets end
  local CLOSED_MS = 86400000 -- how long a closed window's counter stays
  local counters, changed, group_sizes, groups_changed, last_id = {}, {}, {}, {}, nil
  -- For lib/events.lua: the counters; budgets that flag and are beyond their limit, and those with nearly all their values.
  local made = { counters = counters, noted = {} }

  local function read_counter(field, record)
    local id, touched, life, group, slots = string.match(record, '^1|(%d+)|(%d+)|(%d+)|([^|]*)|(.*)$')
    if not id then error('counter record of an unknown form: ' .. field) end
    local counter = {
      id = id, field = field, touched = number_of(touched), life = number_of(life), group = group, slots = {},
    }
    for start, spent, held, ends in string.gmatch(slots, '(%d+):(%d+):(%d+):(%d*)') do
      counter.slots[#counter.slots + 1] =
        { start = number_of(start), spent = number_of(spent), held = number_of(held), ends = tonumber(ends) }
    end
    return counter
  end

  local function pack_counter(counter)
    local parts = {}
    for i = 1, #counter.slots do
      local slot = counter.slots[i]
      parts[i] = text_of(slot.start) .. ':' .. text_of(slot.spent) .. ':' .. text_of(slot.held)
        .. ':' .. (slot.ends and text_of(slot.ends) or '')
    end
    return '1|' .. counter.id .. '|' .. text_of(counter.touched) .. '|' .. text_of(counter.life)
      .. '|' .. counter.group .. '|' .. table.concat(parts, ',')
  end

  local function load_counters(fields)
    local missing, names = {}, {}
    for i = 1, #fields do
      if counters[fields[i]] == nil then
        missing[#missing + 1] = fields[i]
        names[#names + 1] = 'c:' .. fields[i]
      end
    end
    if #missing == 0 then return end
    local records = redis.call('HMGET', KEYS[7], unpack(names))
    for i = 1, #missing do
      counters[missing[i]] = records[i] and read_counter(missing[i], records[i]) or false
    end
  end

  local function measure_of(field)
    return string.match(field, '^[^~]*~([^~]*)~')
  end

  --[[
  What a call counts against: one line for each budget, FIELD;limit;action;life;group;most_values;window.
  action: b(lock), f(lag). window: r,LENGTH,PART | c,B0,B1,B2,B3 (bounds around now) | l(ifetime; concurrent too).
  amounts: MEASURE=fixed,per_token,floor;… for every measure but requests and concurrent.
  ]]
  local function read_amounts(text)
    local amounts = { requests = { 1, 0, 0 }, concurrent = { 1, 0, 0 } }
    for measure, fixed, each, floor in string.gmatch(text, '([^=;]+)=(%d+),(%d+),(%d+)') do
      amounts[measure] = { integer(fixed), integer(each), integer(floor) }
    end
    return amounts
  end

  -- Start and end of the window that `at` falls in; a gateway's clock may be one window off, not more.
  local function window_at(window, at)
    local kind, rest = string.sub(window, 1, 1), string.sub(window, 3)
    if kind == 'r' then
      local length, part = string.match(rest, '^(%d+),(%d+)$')
      length, part = integer(length), integer(part)
      return at - at % part, nil, length, part
    end
    if kind == 'c' then
      local b0, b1, b2, b3 = string.match(rest, '^(%d+),(%d+),(%d+),(%d+)$')
      b0, b1, b2, b3 = integer(b0), integer(b1), integer(b2), integer(b3)
      if at < b1 then return b0, b1 end
      if at < b2 then return b1, b2 end
      return b2, b3
    end
    return 0, nil
  end

  local function counts_now(spec, slot)
    if spec.part then return slot.start + spec.part > now - spec.length end
    return slot.start == spec.start
  end

  -- Each with its counter and what stands in its window.
  function made.open(text, amounts_text, at)
    local specs, fields, names = {}, {}, { 'next' }
    local amounts = read_amounts(amounts_text)
    for line in string.gmatch(text, '[^\n]+') do
      local field, limit, action, life, group, most, window =
        string.match(line, '^([^;]+);(%d+);([bf]);(%d+);([^;]*);(%d+);([^;]+)$')
      if not field then error('budget of an unknown form') end
      local measure = measure_of(field)
      -- A call without a hold says only what it came to.
      local amount = amounts[measure] or (amounts_text == '' and { 0, 0, 0 })
      if not amount then error('no amount of ' .. measure) end
      local spec = {
        field = field, limit = integer(limit), blocks = action == 'b', life = integer(life), group = group,
        most = integer(most), measure = measure, fixed = amount[1], each = amount[2], floor = amount[3],
      }
      spec.start, spec.ends, spec.length, spec.part = window_at(window, at)
      specs[#specs + 1] = spec
      fields[#fields + 1] = field
      names[#names + 1] = 'c:' .. field
      if group ~= '' then names[#names + 1] = 'v:' .. group end
    end
    local records = redis.call('HMGET', KEYS[7], unpack(names))
    last_id = last_id or number_of(records[1] or '0')
    local at_record = 2
    for i = 1, #specs do
      local spec = specs[i]
      local record = records[at_record]
      at_record = at_record + 1
      if spec.group ~= '' then
        group_sizes[spec.group] = group_sizes[spec.group] or number_of(records[at_record] or '0')
        at_record = at_record + 1
      end
      if counters[spec.field] == nil then counters[spec.field] = record and read_counter(spec.field, record) or false end
      spec.spent, spec.held = 0, 0
      local counter = counters[spec.field]
      for j = 1, counter and #counter.slots or 0 do
        local slot = counter.slots[j]
        if counts_now(spec, slot) then
          spec.spent, spec.held = spec.spent + slot.spent, spec.held + slot.held
        end
      end
      spec.room = math.max(0, spec.limit - spec.spent - spec.held)
    end
    return specs
  end

  -- A value too many for a budget that makes one counter for each.
  function made.too_many(specs)
    for i = 1, #specs do
      local spec = specs[i]
      if spec.blocks and spec.group ~= '' and not counters[spec.field] and group_sizes[spec.group] >= spec.most then
        return spec
      end
    end
  end

  -- When enough of what counts now will have left the window for `needed`; '' where time alone does not heal it.
  function made.resets_at(spec, needed)
    if spec.ends then return text_of(spec.ends) end
    local counter = counters[spec.field]
    if not spec.part or not counter then return '' end
    local room = spec.limit - spec.spent - spec.held
    for i = 1, #counter.slots do
      local slot = counter.slots[i]
      if counts_now(spec, slot) then
        room = room + slot.spent + slot.held
        if needed <= room then return text_of(slot.start + spec.part + spec.length) end
      end
    end
    return ''
  end

  -- Of a rolling window what has left it, of a calendar one what is closed for a day and holds nothing.
  local function prune(counter, spec)
    local kept = {}
    for i = 1, #counter.slots do
      local slot = counter.slots[i]
      local gone = slot.ends and slot.held == 0 and slot.ends + CLOSED_MS <= now
      if spec and spec.part then gone = not counts_now(spec, slot) end
      if not gone then kept[#kept + 1] = slot end
    end
    counter.slots = kept
  end

  local function slot_of(counter, start, ends)
    for i = #counter.slots, 1, -1 do
      local slot = counter.slots[i]
      if slot.start == start then return slot end
      if slot.start < start then
        local new = { start = start, spent = 0, held = 0, ends = ends }
        table.insert(counter.slots, i + 1, new)
        return new
      end
    end
    local first = { start = start, spent = 0, held = 0, ends = ends }
    table.insert(counter.slots, 1, first)
    return first
  end

  local function find_slot(counter, start)
    for i = 1, #counter.slots do
      if counter.slots[i].start == start then return counter.slots[i] end
    end
  end

  local function touch(counter)
    counter.touched = now
    changed[counter.field] = true
  end

  local function create(spec, news)
    last_id = last_id + 1
    local counter = {
      id = text_of(last_id), field = spec.field, touched = now, life = spec.life, group = spec.group, slots = {},
    }
    counters[spec.field] = counter
    counter.new = true
    if spec.group ~= '' then
      group_sizes[spec.group] = group_sizes[spec.group] + 1
      groups_changed[spec.group] = true
      local size = group_sizes[spec.group]
      if size * 5 >= spec.most * 4 then
        made.noted[#made.noted + 1] = { group = spec.group, size = size, most = spec.most }
      end
    end
    if spec.life > 0 then due_changes['b' .. counter.id] = now + spec.life end
    news[#news + 1] = counter.id .. '=' .. spec.field
    return counter
  end

  --[[
  Counts a call of so many tokens. `settled`: MEASURE -> final amount of a call without a hold, counted as spent at once.
  Answers what the hold keeps of it, and what the ledger says.
  ]]
  function made.count(specs, tokens, settled)
    local kept, entry, news, flagged = {}, {}, {}, {}
    for i = 1, #specs do
      local spec = specs[i]
      local amount = spec.fixed + spec.each * tokens
      if settled then amount = settled[spec.measure] or (spec.measure == 'requests' and 1 or 0) end
      local counter = counters[spec.field] or create(spec, news)
      local slot = slot_of(counter, spec.start, spec.ends)
      if settled or spec.measure == 'requests' then
        slot.spent = math.min(ATOMS_MAX, slot.spent + amount)
      else
        slot.held = slot.held + amount
        kept[#kept + 1] = spec.field .. '@' .. text_of(spec.start) .. ':' .. text_of(amount) .. ':' .. text_of(spec.floor)
          .. ':0:' .. (spec.blocks and text_of(spec.limit) or '') .. ':' .. (spec.part and text_of(spec.part) .. '/' .. text_of(spec.length) or '')
      end
      if not spec.blocks and amount > spec.room then
        flagged[#flagged + 1] = counter.id
        made.noted[#made.noted + 1] = { spec = spec, amount = amount }
      end
      entry[#entry + 1] = counter.id .. '@' .. text_of(spec.start) .. ':' .. text_of(amount)
      prune(counter, spec)
      touch(counter)
    end
    local extra = ';budgets=' .. table.concat(entry, ',')
    if #news > 0 then extra = extra .. ';counters=' .. table.concat(news, ',') end
    if #flagged > 0 then extra = extra .. ';exceeded=' .. table.concat(flagged, ',') end
    return table.concat(kept, ','), extra, flagged
  end

  local KEPT = '([^@,]+)@(%d+):(%d+):(%d+):(%d+):(%d*):([%d/]*)'

  local function read_kept(text)
    local list, fields = {}, {}
    for field, start, amount, floor, known, limit, rolling in string.gmatch(text, KEPT) do
      list[#list + 1] = {
        field = field, start = number_of(start), amount = number_of(amount), floor = number_of(floor),
        known = number_of(known), limit = limit, rolling = rolling, measure = measure_of(field),
      }
      fields[#fields + 1] = field
    end
    load_counters(fields)
    return list
  end

  local function pack_kept(list)
    local parts = {}
    for i = 1, #list do
      local item = list[i]
      parts[i] = item.field .. '@' .. text_of(item.start) .. ':' .. text_of(item.amount) .. ':' .. text_of(item.floor)
        .. ':' .. text_of(item.known) .. ':' .. item.limit .. ':' .. item.rolling
    end
    return table.concat(parts, ',')
  end

  --[[
  Ends what a hold counts: held leaves, what was used is spent, in the window of the hold. final_of(item): the amount
  that counts. The hold then keeps what was posted. Answers what the ledger says.
  ]]
  function made.finish(hold, final_of, late)
    local list, entry = read_kept(hold.budgets), {}
    for i = 1, #list do
      local item = list[i]
      local counter = counters[item.field]
      local slot = counter and find_slot(counter, item.start)
      local final = final_of(item)
      if slot then
        if late then
          -- The difference first: a sum of two large amounts is not exact.
          slot.spent = math.max(0, math.min(ATOMS_MAX, slot.spent + (final - item.amount)))
        else
          slot.held = slot.held - item.amount
          slot.spent = math.min(ATOMS_MAX, slot.spent + final)
        end
        prune(counter)
        touch(counter)
        entry[#entry + 1] = counter.id .. '@' .. text_of(item.start) .. ':' .. text_of(final)
      end
      item.amount = final
    end
    hold.budgets = pack_kept(list)
    return #entry > 0 and ';budgets=' .. table.concat(entry, ',') or ''
  end

  -- Finals by measure, as settle and checkpoint name them: MEASURE=amount;…
  function made.read_finals(text)
    local finals = {}
    for measure, amount in string.gmatch(text, '([^=;]+)=(%d+)') do
      finals[measure] = integer(amount)
    end
    return finals
  end

  -- What a timeout posts of an item.
  function made.timed_out(hold)
    return function(item)
      if item.measure == 'concurrent' or hold.on_timeout == 'release' then return 0 end
      if hold.on_timeout == 'full' then return item.amount end
      return math.min(item.amount, math.max(item.floor, item.known))
    end
  end

  --[[
  How many more tokens the budgets of an open hold allow, at most `want`; the item that allows the least; and whether
  only open holds are in its way. each_of: MEASURE -> amount a token.
  ]]
  function made.room_to_extend(hold, each_of, want)
    local list = read_kept(hold.budgets)
    local tokens, tightest, only_held = want, nil, false
    for i = 1, #list do
      local item = list[i]
      local counter, each = counters[item.field], each_of[item.measure] or 0
      if item.limit ~= '' and counter and each > 0 then
        local part, length = string.match(item.rolling, '^(%d+)/(%d+)$')
        local spec = { start = item.start, part = tonumber(part), length = tonumber(length) }
        local spent, held, own = 0, 0, 0
        for j = 1, #counter.slots do
          local slot = counter.slots[j]
          if counts_now(spec, slot) then
            spent, held = spent + slot.spent, held + slot.held
            if slot.start == item.start then own = item.amount end
          end
        end
        -- A rolling window that the hold has left counts nothing of it any more.
        if own > 0 or not spec.part then
          local fits = math.floor(math.max(0, integer(item.limit) - spent - held) / each)
          if fits < tokens then
            tokens, tightest = fits, item
            only_held = spent + own + each <= integer(item.limit)
          end
        end
      end
    end
    return list, tokens, tightest, only_held
  end

  -- Whether so many more tokens stay numbers that Redis keeps exactly.
  function made.extend_in_range(list, each_of, tokens)
    for i = 1, #list do
      local item = list[i]
      local each = each_of[item.measure] or 0
      local counter = counters[item.field]
      local slot = counter and find_slot(counter, item.start)
      local counted = math.max(item.amount, slot and slot.spent + slot.held or 0)
      -- What calls without a hold came to may already be beyond: no token more is in range even so.
      if each > 0 and tokens > math.max(0, math.floor((ATOMS_MAX - counted) / each)) then return false end
    end
    return true
  end

  function made.extend(hold, list, each_of, tokens, known_of)
    local entry = {}
    for i = 1, #list do
      local item = list[i]
      local more = (each_of[item.measure] or 0) * tokens
      local counter = counters[item.field]
      local slot = counter and find_slot(counter, item.start)
      item.known = math.max(item.known, known_of[item.measure] or 0)
      item.amount = item.amount + more
      if slot and more > 0 then
        slot.held = slot.held + more
        touch(counter)
        entry[#entry + 1] = counter.id .. '@' .. text_of(item.start) .. ':' .. text_of(more)
      end
    end
    hold.budgets = pack_kept(list)
    return #entry > 0 and ';budgets=' .. table.concat(entry, ',') or ''
  end

  -- A refund: what a charge counted in a window, less what is given back of it. By its share where the unit is another.
  function made.give_back(id, start, counted, amount, charge)
    local field = redis.call('HGET', KEYS[7], 'i:' .. id)
    local measure = field and measure_of(field)
    if not measure or measure == 'tokens' or measure == 'requests' or measure == 'concurrent' then return end
    load_counters({ field })
    local counter = counters[field]
    local slot = counter and find_slot(counter, start)
    if not slot then return end
    local part = measure == charge.unit and amount or math.floor(counted * (amount / charge.total))
    slot.spent = math.max(0, slot.spent - part)
    touch(counter)
  end

  -- The end of a counter's life: gone where nothing used it meanwhile, looked at again later where something did.
  function made.retire(id)
    local field = redis.call('HGET', KEYS[7], 'i:' .. id)
    due_changes['b' .. id] = false
    if not field then return end
    load_counters({ field })
    local counter = counters[field]
    if not counter then return end
    local held = 0
    for i = 1, #counter.slots do
      held = held + counter.slots[i].held
    end
    if held > 0 or counter.touched + counter.life > now then
      due_changes['b' .. id] = held > 0 and now + counter.life or counter.touched + counter.life
      return
    end
    local lifetime = string.match(field, '^[^~]*~[^~]*~lifetime~')
    local spent = counter.slots[1] and counter.slots[1].spent or 0
    if counter.group ~= '' then
      if group_sizes[counter.group] == nil then
        group_sizes[counter.group] = number_of(redis.call('HGET', KEYS[7], 'v:' .. counter.group) or '0')
      end
      group_sizes[counter.group] = math.max(0, group_sizes[counter.group] - 1)
      groups_changed[counter.group] = true
    end
    counter.gone = true
    changed[field] = true
    if lifetime then
      add_entry('event', now, 'budget.closed', '', nil, {}, 'counter=' .. id .. '=' .. field .. ';spent=' .. text_of(spent), '')
    end
  end

  -- A counter as it is after what this script did: its record, or nil where it is gone. For reads.
  function made.current(field, record)
    local counter = counters[field]
    if counter == nil then return record end
    if not counter or counter.gone then return nil end
    return pack_counter(counter)
  end

  -- Called by commit().
  function made.write()
    local set, remove = {}, {}
    for field in pairs(changed) do
      local counter = counters[field]
      if counter.gone then
        remove[#remove + 1] = 'c:' .. field
        remove[#remove + 1] = 'i:' .. counter.id
        remove[#remove + 1] = 'e:' .. counter.id
        counters[field] = false
      else
        set[#set + 1] = 'c:' .. field
        set[#set + 1] = pack_counter(counter)
        if counter.new then
          set[#set + 1] = 'i:' .. counter.id
          set[#set + 1] = field
          set[#set + 1] = 'next'
          set[#set + 1] = text_of(last_id)
          counter.new = nil
        end
      end
    end
    for group in pairs(groups_changed) do
      set[#set + 1] = 'v:' .. group
      set[#set + 1] = text_of(group_sizes[group])
    end
    for i = 1, #set, 2000 do
      redis.call('HSET', KEYS[7], unpack(set, i, math.min(i + 1999, #set)))
    end
    for i = 1, #remove, 2000 do
      redis.call('HDEL', KEYS[7], unpack(remove, i, math.min(i + 1999, #remove)))
    end
    changed, groups_changed = {}, {}
  end

  budgets = made
  return budgets
end
