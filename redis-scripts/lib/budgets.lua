-- Budgets: what calls use, counted in windows. Its functions are made on demand: a call without budgets pays for none.
--! include lib/account.lua

local budgets -- what budget_functions() made, once a script

--[[
A counter stands in the budgets hash under c:FIELD, FIELD being NAME~MEASURE~WINDOW~VALUES. Its record is
1|touched|spent|held|start|until|older_spent|older_held|id|life|group|rolling|end|older. spent, held, start and end are
those of the newest window, or part of a rolling one (start '': there is none); older: start:spent:held:end,… of those
before it, which the usual call does not read: what counts of them is summed in older_spent and older_held, until the time
`until` ('': for ever). rolling: PART/LENGTH in ms, or ''.
i:ID -> FIELD; next -> the highest id; v:GROUP -> how many counters a budget has that makes one for each value.
e:ID, x:GROUP: what was told of it (lib/events.lua).
]]
local function budget_functions()
  if budgets then return budgets end
  local CLOSED_MS = 86400000 -- how long a closed window's counter stays
  local counters, changed = {}, {}
  local rare, group_sizes, groups_changed, last_id = nil, {}, {}, nil
  -- For lib/events.lua: the counters; budgets that flag and are beyond their limit, and those with nearly all their values.
  local made = { counters = counters, noted = {} }

  local function read_counter(field, record)
    local spent, held, tail_at, start, until_text, older_spent, older_held, id =
      match(record, '^1|%d+|(%d+)|(%d+)|()(%d*)|(%d*)|(%d+)|(%d+)|(%d+)|')
    if not spent then error('counter record of an unknown form: ' .. field) end
    local counter = {
      field = field, id = id, spent = spent + 0, held = held + 0, start = start ~= '' and start + 0, record = record,
      tail = sub(record, tail_at), until_text = until_text, older_spent = older_spent + 0, older_held = older_held + 0,
    }
    counters[field] = counter
    return counter
  end

  -- Whether the newest window is this one, and what was summed of the older ones still counts as it did.
  local function is_usual(counter, start)
    return counter and counter.start == start and not counter.slots and (counter.until_text == '' or now < counter.until_text + 0)
  end

  local function load_counters(fields)
    local missing, names = {}, {}
    for i = 1, #fields do
      if fields[i] and counters[fields[i]] == nil then
        missing[#missing + 1] = fields[i]
        names[#names + 1] = 'c:' .. fields[i]
      end
    end
    if #missing == 0 then return end
    local records = call('HMGET', KEYS[7], unpack(names))
    for i = 1, #missing do
      if records[i] then read_counter(missing[i], records[i]) end
    end
  end

  local function measure_of(field)
    local name_end = find(field, '~', 1, true)
    return sub(field, name_end + 1, find(field, '~', name_end + 1, true) - 1)
  end

  -- What only some calls need: new windows and counters, slices, refunds, the end of a counter.
  local function rare_functions()
    if rare then return rare end
--! include lib/budget_windows.lua
    rare = {
      slots_of = slots_of, slot_of = slot_of, find_slot = find_slot, prune = prune, pack = pack_slots, window_at = window_at,
      counts_now = counts_now, create = create, size_of_group = size_of_group,
    }
    return rare
  end

  --[[
  What a call counts against: one line for each budget, FIELD;KIND ACTION INDEX;limit;WINDOW;life;group;most;before,after.
  KIND: m(oney of the wallet's unit), r(equests), c(oncurrent), o(ther: the INDEXth of amounts). ACTION: b(lock), f(lag).
  WINDOW: r,LENGTH,PART | c,START,END | l(ifetime); before and after: the bounds around START and END.
  own: {fixed, each, floor} of the wallet's unit; amounts: fixed,per_token,floor;… of other measures.
  Answers each with its counter and what stands in its window.
  ]]
  function made.open(text, own, amounts, at)
    local specs, names, from, others = {}, {}, 1, nil
    local one = { 1, 0, 0 }
    repeat
      local field_end = find(text, ';', from, true)
      local kind, action, index, limit, window, first, second, rest_at =
        match(text, '^(%l)(%l)(%d*);(%d+);(%l),?(%d*),?(%d*);()', field_end + 1)
      if not kind then error('budget of an unknown form') end
      local field, amount = sub(text, from, field_end - 1), one
      if kind == 'm' then
        amount = own
      elseif kind == 'o' then
        if not others then
          others = {}
          for fixed, each, floor in string.gmatch(amounts, '(%d+),(%d+),(%d+)') do
            others[#others + 1] = { integer(fixed), integer(each), integer(floor) }
          end
        end
        -- A call without a hold says only what it came to.
        amount = others[index + 0] or (amounts == '' and own) or error('no amount of ' .. field)
      end
      local spec = {
        field = field, limit = integer(limit), blocks = action == 'b', kind = kind, fixed = amount[1], each = amount[2],
        floor = amount[3], start = 0, ends = nil, part = nil, length = nil, spent = 0, held = 0, room = 0, rest_at = rest_at,
      }
      if window == 'c' then
        spec.start, spec.ends = first + 0, second + 0
        if at < spec.start or at >= spec.ends then
          spec.start, spec.ends = rare_functions().window_at(text, rest_at, at, spec.start, spec.ends)
        end
      elseif window == 'r' then
        spec.length, spec.part = first + 0, second + 0
        spec.start = at - at % spec.part
      end
      specs[#specs + 1], names[#names + 1] = spec, 'c:' .. field
      from = (find(text, '\n', rest_at, true) or #text) + 1
    until from > #text
    local records = call('HMGET', KEYS[7], unpack(names))
    for i = 1, #specs do
      local spec = specs[i]
      local counter = counters[spec.field]
      if counter == nil then counter = records[i] and read_counter(spec.field, records[i]) or false end
      -- A window of some time ago may have been left since.
      spec.usual = at == now and is_usual(counter, spec.start)
      if spec.usual then
        spec.spent, spec.held = counter.spent + counter.older_spent, counter.held + counter.older_held
      elseif counter then
        for _, slot in ipairs(rare_functions().slots_of(counter)) do
          if rare.counts_now(spec, slot) then
            spec.spent, spec.held = spec.spent + slot.spent, spec.held + slot.held
          end
        end
      else
        spec.is_new = true
        spec.life, spec.group, spec.most = match(text, '^(%d+);([^;]*);(%d+);', spec.rest_at)
      end
      spec.room = math.max(0, spec.limit - spec.spent - spec.held)
    end
    return specs
  end

  -- A value too many for a budget that makes one counter for each.
  function made.too_many(specs)
    for i = 1, #specs do
      local spec = specs[i]
      if spec.is_new and spec.group ~= '' and spec.blocks and rare_functions().size_of_group(spec.group) >= spec.most + 0 then
        return spec
      end
    end
  end

  --[[
  Counts a call of so many tokens. `settled`: MEASURE -> final amount of a call without a hold, counted as spent at once.
  Answers what the hold keeps of it, and what the ledger says.
  ]]
  function made.count(specs, tokens, settled)
    local kept, entry, news, flagged = {}, {}, {}, {}
    for i = 1, #specs do
      local spec = specs[i]
      local kind, amount = spec.kind, spec.fixed + spec.each * tokens
      if settled then amount = settled[measure_of(spec.field)] or (kind == 'r' and 1 or 0) end
      local counter = counters[spec.field] or rare_functions().create(spec, news)
      local usual = spec.usual
      local slot = usual and counter or rare_functions().slot_of(counter, spec.start, spec.ends)
      local start, text = text_of(spec.start), text_of(amount)
      if settled or kind == 'r' then
        slot.spent = math.min(ATOMS_MAX, slot.spent + amount)
      else
        -- Named by its id, which is a tenth as long. One that holds nothing may be gone before the hold ends: its field finds
        -- what came in its place.
        slot.held = slot.held + amount
        kept[#kept + 1] = (amount > 0 and counter.id or spec.field) .. '@' .. start .. ':' .. text
          .. ':' .. text_of(spec.floor) .. ':0:' .. (spec.blocks and text_of(spec.limit) or '')
      end
      if not spec.blocks and amount > spec.room then
        flagged[#flagged + 1] = match(spec.field, '^[^~]*')
        made.noted[#made.noted + 1] = { spec = spec, amount = amount }
      end
      entry[#entry + 1] = counter.id .. '@' .. start .. ':' .. text
      if not usual then rare.prune(counter, spec) end
      counter.touched, changed[counter] = now, true
    end
    local extra = ';budgets=' .. concat(entry, ',')
    if #news > 0 then extra = extra .. ';counters=' .. concat(news, ',') end
    if #flagged > 0 then extra = extra .. ';exceeded=' .. concat(flagged, ',') end
    return concat(kept, ','), extra, flagged
  end

  -- The fields of what a hold names by a counter's id, or by its field; false where it is gone. All are loaded.
  local function fields_of(text)
    local fields, ids, places = {}, {}, {}
    for name in string.gmatch(text, '([^@,]+)@') do
      fields[#fields + 1] = find(name, '~', 1, true) and name or false
      if not fields[#fields] then
        ids[#ids + 1], places[#places + 1] = 'i:' .. name, #fields
      end
    end
    if #ids > 0 then
      local found = call('HMGET', KEYS[7], unpack(ids))
      for i = 1, #places do
        fields[places[i]] = found[i]
      end
    end
    load_counters(fields)
    return fields
  end

  --[[
  Ends what a hold counts: held leaves, what was used is spent, in the window of the hold. finals: MEASURE -> the amount
  that counts, concurrent is only ever held; nil: nothing counts. lines: what the call counts against, as open() reads it
  ('': not known); its counters are then found without another look into Redis. Answers what the ledger says.
  ]]
  function made.finish(text, finals, lines)
    local lined, fields, starts, amounts, entry, from, at = {}, {}, {}, {}, {}, 1, 1
    while from <= #lines do
      lined[#lined + 1] = sub(lines, from, find(lines, ';', from, true) - 1)
      from = (find(lines, '\n', from, true) or #lines) + 1
    end
    load_counters(lined)
    from = 1
    repeat
      local name_end = find(text, '@', from, true)
      local name = sub(text, from, name_end - 1)
      -- They stand in the same order; what the hold does not keep is passed.
      local counter = counters[lined[at]]
      while lined[at] and not (counter and counter.id == name) do
        at = at + 1
        counter = counters[lined[at]]
      end
      fields[#fields + 1], at = lined[at] or false, at + 1
      starts[#starts + 1], amounts[#amounts + 1] = match(text, '^(%d+):(%d+):', name_end + 1)
      from = (find(text, ',', name_end, true) or #text) + 1
    until from > #text
    if not fields[#fields] then fields = fields_of(text) end
    for i = 1, #fields do
      local counter, start, amount = counters[fields[i]], starts[i] + 0, amounts[i] + 0
      if counter then
        local measure = measure_of(fields[i])
        local final = finals and measure ~= 'concurrent' and (finals[measure] or amount) or 0
        local usual = is_usual(counter, start)
        local slot = usual and counter or rare_functions().find_slot(counter, start)
        if slot then
          slot.held = slot.held - amount
          slot.spent = math.min(ATOMS_MAX, slot.spent + final)
          if not usual then rare.prune(counter) end
          counter.touched, changed[counter] = now, true
          entry[#entry + 1] = counter.id .. '@' .. starts[i] .. ':' .. text_of(final)
        end
      end
    end
    return #entry > 0 and ';budgets=' .. concat(entry, ',') or ''
  end

  -- Finals by measure, as settle and checkpoint name them: MEASURE=amount;…
  function made.read_finals(text)
    local finals = {}
    for measure, amount in string.gmatch(text, '([^=;]+)=(%d+)') do
      finals[measure] = integer(amount)
    end
    return finals
  end

  -- What budgets do for calls that take longer, and at the end of a counter (lib/budget_calls.lua).
  local calls
  function made.further()
    if calls then return calls end
--! include lib/budget_calls.lua
    calls = further
    return calls
  end

  -- Called by commit().
  function made.write()
    local set, remove = {}, {}
    for counter in pairs(changed) do
      if counter.gone then
        remove[#remove + 1] = 'c:' .. counter.field
        remove[#remove + 1] = 'i:' .. counter.id
        remove[#remove + 1] = 'e:' .. counter.id
      else
        set[#set + 1] = 'c:' .. counter.field
        if counter.slots then
          set[#set + 1] = rare.pack(counter)
        else
          set[#set + 1] = '1|' .. text_of(now) .. '|' .. text_of(counter.spent) .. '|' .. text_of(counter.held)
            .. '|' .. counter.tail
        end
        if counter.new then
          set[#set + 1] = 'i:' .. counter.id
          set[#set + 1] = counter.field
          set[#set + 1] = 'next'
          set[#set + 1] = text_of(last_id)
        end
      end
    end
    for group in pairs(groups_changed) do
      set[#set + 1] = 'v:' .. group
      set[#set + 1] = text_of(group_sizes[group])
    end
    for i = 1, #set, 2000 do
      call('HSET', KEYS[7], unpack(set, i, math.min(i + 1999, #set)))
    end
    -- A sweep ends no more counters than it takes items.
    if #remove > 0 then call('HDEL', KEYS[7], unpack(remove)) end
    changed, groups_changed = {}, {}
  end

  budgets = made
  return budgets
end
