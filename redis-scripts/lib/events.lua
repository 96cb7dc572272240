-- Events: what someone should hear of, written in the same act as its cause. Made on demand: few acts have one.
--! include lib/account.lua
--! include lib/overage.lua
--! include lib/budgets.lua

local events -- what event_functions() made, once a script

--[[
What is watched of a wallet stands in the account's hash under e:UNIT, where there is anything to remember:
"1 alerts told base hours top_up", `-` for an empty part.
alerts: what the plan asks for, as the last hold said it, parts separated by `/`: q(uiet: it never runs out);
  pMILLIONTHS of base; bATOMS, below; hHOURS left; xMS before a grant expires; tBELOW:AMOUNT:AT_MOST:WAIT_MS:B0:B1:B2:B3.
told: what was told and is not armed again: x (exhausted), o:ACCOUNT (overage), a p, b or h of alerts.
base: the most that the wallet held since funds came in after the last p was told; 0: not watched.
hours: HOUR:POSTED_BEFORE:POSTED, the totals as high,low at the beginning of the last hour and of this one.
top_up: NEXT_MS:WAIT_MS:START:REQUESTED; next 0: nothing is asked for now.
]]
local function event_functions()
  if events then return events end
  local EVENTS_MAX = 10000 -- that wait to be handed over; the ledger keeps those that are dropped
  local TOLD_MAX = 32
  local EXPIRES_IN_MS = 259200000 -- 3 days
  local HOUR_MS, MINUTE_MS = 3600000, 60000
  local WAIT_MAX_MS, DAY_MS = 86400000, 86400000
  local NEVER = '9999999999999999'
  local waiting, dropped, changed, looked_at, latches = {}, 0, {}, {}, {}
  local made = {}

  function made.add(name, w, extra, at_ms)
    waiting[#waiting + 1] = add_entry('event', at_ms or now, name, '', w, {}, extra, '')
    if account.events < EVENTS_MAX then
      account.events = account.events + 1
    else
      dropped = dropped + 1
    end
  end

  local function part(text)
    return text == '-' and '' or text
  end

  local function read_alerts(text)
    local alerts = { lows = {} }
    for item in string.gmatch(text, '[^/]+') do
      local kind, value = string.sub(item, 1, 1), string.sub(item, 2)
      if kind == 'q' then
        alerts.quiet = true
      elseif kind == 'x' then
        alerts.expires_in = integer(value)
      elseif kind == 't' then
        local below, amount, most, wait, b0, b1, b2, b3 =
          string.match(value, '^(%d+):(%d+):(%d+):(%d+):(%d+):(%d+):(%d+):(%d+)$')
        if not below then error('alerts of an unknown form') end
        alerts.top_up = {
          below = integer(below), amount = integer(amount), most = integer(most), wait = integer(wait),
          bounds = { integer(b0), integer(b1), integer(b2), integer(b3) },
        }
      else
        alerts.lows[#alerts.lows + 1] = item
        alerts[kind] = true
      end
    end
    return alerts
  end

  local function read_watch(record)
    local alerts, told, base, hours, top_up = string.match(record or '1 - - 0 - -', '^1 (%S+) (%S+) (%d+) (%S+) (%S+)$')
    if not alerts then error('watch record of an unknown form') end
    local watch = { alerts = part(alerts), told = {}, base = base + 0, hours = part(hours), top_up = part(top_up) }
    for token in string.gmatch(part(told), '[^,]+') do
      watch.told[#watch.told + 1] = token
    end
    return watch
  end

  local function pack_watch(watch)
    local parts = { watch.alerts, table.concat(watch.told, ','), text_of(watch.base), watch.hours, watch.top_up }
    if table.concat(parts) == '0' then return nil end
    for i = 1, #parts do
      if parts[i] == '' then parts[i] = '-' end
    end
    return '1 ' .. table.concat(parts, ' ')
  end

  local function was_told(watch, token)
    for i = 1, #watch.told do
      if watch.told[i] == token then return true end
    end
    return false
  end

  -- True where it was not told before.
  local function tell_once(watch, token)
    if was_told(watch, token) then return false end
    watch.told[#watch.told + 1] = token
    if #watch.told > TOLD_MAX then table.remove(watch.told, 1) end
    return true
  end

  local function posted_of(w)
    local high, low = match(w.totals or '0|0|0|0|0|0', '^%d+|%d+|(%d+)|(%d+)|')
    return high + 0, low + 0
  end

  -- Moves on to the hour that it is now. The totals of before this act: nothing was posted since the last one.
  local function count_hours(w, watch)
    local hour = math.floor(now / HOUR_MS)
    local before = w.totals_record and string.match(w.totals_record, '^%d+|%d+|(%d+|%d+)|') or '0|0'
    before = string.gsub(before, '|', ',')
    local last, _, posted = string.match(watch.hours, '^(%d+):([%d,]+):([%d,]+)$')
    last = last and last + 0
    if last == hour then return end
    watch.hours = text_of(hour) .. ':' .. (last == hour - 1 and posted or before) .. ':' .. before
  end

  -- What a minute took, of the hour before and what has passed of this one.
  local function burn_of(w, watch)
    local hour, high, low = string.match(watch.hours, '^(%d+):(%d+),(%d+):')
    if not hour then return 0 end
    local high_now, low_now = posted_of(w)
    local spent = math.min(ATOMS_MAX, (high_now - high) * 1000000000000000 + (low_now - low))
    local minutes = math.floor((now - (hour - 1) * HOUR_MS) / MINUTE_MS)
    return math.floor(math.max(0, spent) / minutes)
  end

  -- Whether the balance is low by an alert; then what the event says of it.
  local function is_low(w, watch, token, balance)
    local kind, value = string.sub(token, 1, 1), string.sub(token, 2) + 0
    if kind == 'p' then
      local threshold = multiply(watch.base, value)
      if watch.base == 0 or balance > threshold then return nil end
      return 'at=' .. text_of(value) .. ';threshold=' .. text_of(threshold)
    elseif kind == 'b' then
      return balance < value and 'below=' .. text_of(value) or nil
    end
    local burn = burn_of(w, watch)
    if burn == 0 or math.floor(balance / burn) >= value * 60 then return nil end
    return 'hours_left=' .. text_of(value) .. ';per_minute=' .. text_of(burn)
  end

  local function is_over(w, name)
    if name == 'debt' then return w.debt + w.debt_held > 0 end
    if name == 'flagged' then return w.flagged > 0 end
    local period = period_of(w.unit, string.match(name, '^overflow:(.*)$'))
    return period.posted + period.held > 0
  end

  -- New money, or money given back, arms again what it puts right.
  local function arm(w, watch, balance)
    local told = {}
    for i = 1, #watch.told do
      local token = watch.told[i]
      local name = string.match(token, '^o:(.*)$')
      local still
      if name then
        still = is_over(w, name)
      else
        still = token ~= 'x' and is_low(w, watch, token, balance)
      end
      if still then told[#told + 1] = token end
    end
    watch.told = told
  end

  -- A grant came in. After a warning it is a new beginning; otherwise the most that there was counts on.
  local function raise_base(watch, balance)
    for i = 1, #watch.told do
      if string.sub(watch.told[i], 1, 1) == 'p' then watch.base = 0 end
    end
    watch.base = math.max(watch.base, balance)
  end

  local function tell_overage(w, watch)
    for i = 1, #(w.overage or {}) do
      local mode, name, amount = w.overage[i][1], w.overage[i][2], w.overage[i][3]
      if tell_once(watch, 'o:' .. name) then
        local period = string.match(name, '^overflow:(.*)$')
        made.add('overage.started', w, 'mode=' .. mode .. (period and ';period=' .. period or '') .. ';amount=' .. text_of(amount))
      end
    end
  end

  local function tell_low(w, watch, lows, balance)
    for i = 1, #lows do
      local low = is_low(w, watch, lows[i], balance)
      if low and tell_once(watch, lows[i]) then
        made.add('wallet.low', w, low .. ';balance=' .. text_of(balance))
      end
    end
  end

  local function tell_exhausted(w, watch, balance)
    if not w.refused and (w.had == 0 or balance > 0) then return end
    if not tell_once(watch, 'x') then return end
    made.add('wallet.exhausted', w, w.refused and 'needed=' .. text_of(w.refused) or '')
  end

  -- The calendar period that it is now: its beginning and end, the latter nil where it is none of the three that are known.
  local function period_now(bounds)
    for i = 4, 2, -1 do
      if now >= bounds[i] then return bounds[i], bounds[i + 1] end
    end
    return bounds[1], bounds[2]
  end

  --[[
  Asks for more credit once the balance is low, again after a wait that doubles, never for more than at_most in a period.
  ]]
  local function ask_for_top_up(w, watch, terms, balance)
    local known = watch.top_up == '' and '0:0:0:0' or watch.top_up
    local next_ms, wait, start, requested = string.match(known, '^(%d+):(%d+):(%d+):(%d+)$')
    next_ms, wait, start, requested = next_ms + 0, wait + 0, start + 0, requested + 0
    local starts, ends = period_now(terms.bounds)
    if start ~= starts then start, requested = starts, 0 end
    -- Where no call came since the periods ended that are known it waits for one.
    if balance >= terms.below or not ends then
      next_ms, wait = 0, 0
    elseif now >= next_ms and requested + terms.amount > terms.most then
      next_ms, wait = ends, 0
    elseif now >= next_ms then
      wait = wait == 0 and terms.wait or math.min(WAIT_MAX_MS, wait * 2)
      next_ms, requested = now + wait, requested + terms.amount
      made.add('top_up.requested', w, 'amount=' .. text_of(terms.amount) .. ';below=' .. text_of(terms.below)
        .. ';balance=' .. text_of(balance) .. ';requested=' .. text_of(requested) .. ';at_most=' .. text_of(terms.most))
    end
    due_changes['t' .. w.unit] = next_ms > 0 and next_ms
    local rest = text_of(next_ms) .. ':' .. text_of(wait) .. ':' .. text_of(start) .. ':' .. text_of(requested)
    watch.top_up = next_ms + requested > 0 and rest or ''
  end

  local function forget_what_is_not_asked_for(w, watch, alerts)
    if not alerts.p then watch.base = 0 end
    if not alerts.h then watch.hours = '' end
    if not alerts.top_up and watch.top_up ~= '' then
      watch.top_up = ''
      due_changes['t' .. w.unit] = false
    end
  end

  local function judge(w)
    local balance = w.available + w.scoped + w.pinned
    local watch = read_watch(w.watch)
    watch.alerts = w.alerts or watch.alerts
    local alerts = read_alerts(watch.alerts)
    if w.alerts then forget_what_is_not_asked_for(w, watch, alerts) end
    if alerts.h then count_hours(w, watch) end
    if alerts.p and (w.funded or watch.base == 0) then raise_base(watch, balance) end
    if balance > w.had or w.debt < w.owed then arm(w, watch, balance) end
    tell_overage(w, watch)
    tell_low(w, watch, alerts.lows, balance)
    if w.refused or not alerts.quiet then tell_exhausted(w, watch, balance) end
    if alerts.top_up then ask_for_top_up(w, watch, alerts.top_up, balance) end
    w.alerts, w.refused, w.overage, w.funded, w.top_up_due = nil, nil, nil, nil, nil
    local record = pack_watch(watch)
    if record == w.watch then return end
    -- Said by the last entry about the wallet, so that a replay knows it.
    if not w.last_entry then add_entry('event', now, 'wallet.watched', '', w, {}, '', '') end
    local entry = w.last_entry
    entry[2] = entry[2] .. ';watch=' .. (record or '')
    w.watch = record
    changed[w.unit] = true
  end

  function made.is_told(w, token)
    return was_told(read_watch(w.watch), token)
  end

  -- What the plan asks for now, as a hold says it.
  function made.adopt(w, text)
    local known = w.watch and part(string.match(w.watch, '^1 (%S+)')) or ''
    if text ~= known then w.alerts = text end
  end

  -- How long before its end a grant of this wallet is told to expire.
  function made.expires_in(w)
    return read_alerts(read_watch(w.watch).alerts).expires_in or EXPIRES_IN_MS
  end

  -- Rates of tokens and requests come and go by themselves: a window of the calendar that is shorter than a day is an hour.
  local function is_rate(spec)
    local measure = string.match(spec.field, '^[^~]*~([^~]*)~')
    if measure ~= 'tokens' and measure ~= 'requests' then return false end
    if spec.length then return spec.length < DAY_MS end
    return spec.ends ~= nil and spec.ends - spec.start <= 2 * HOUR_MS
  end

  --[[
  Once a window, and again under another limit: e:ID -> UNTIL:LIMIT of a counter. What a budget that blocks has not counted
  anything against in this window it does not tell: a call that is too large by itself exceeds no budget.
  ]]
  local function tell_exceeded(w, spec, needed)
    local counter = budgets.counters[spec.field]
    if not counter or is_rate(spec) or (spec.blocks and spec.spent + spec.held == 0) then return false end
    local latch = 'e:' .. counter.id
    local limit = text_of(spec.limit)
    local told = call('HGET', KEYS[7], latch)
    local again, told_limit = string.match(told or '', '^(%d+):(%d+)$')
    if again and now < again + 0 and limit == told_limit then return false end
    again = spec.ends or (spec.part and now + spec.length)
    again = again and text_of(again) or NEVER
    latches[latch] = again .. ':' .. limit
    -- Of several windows together they may pass what is a whole number here.
    local spent, held = math.min(ATOMS_MAX, spec.spent), math.min(ATOMS_MAX, spec.held)
    made.add('budget.exceeded', w, 'exceeds=' .. table.concat({
      counter.id, text_of(spec.start), limit, text_of(spent), text_of(held), text_of(needed), again,
      spec.blocks and 'block' or 'flag', spec.field,
    }, ':'))
    return true
  end

  -- The budgets that refuse a call whatever open holds bring back. Answers whether there was anything to tell.
  function made.refused_by(w, specs, tokens)
    local any = false
    for i = 1, #specs do
      local spec = specs[i]
      local needed = spec.fixed + spec.each * tokens
      if spec.blocks and needed > math.max(0, spec.limit - spec.spent) then any = tell_exceeded(w, spec, needed) or any end
    end
    return any
  end

  -- What a call that was counted makes known: budgets that flag, and budgets with a counter for each value that has many.
  function made.tell_budgets(w)
    for i = 1, #budgets.noted do
      local noted = budgets.noted[i]
      if noted.group then
        local told = call('HGET', KEYS[7], 'x:' .. noted.group)
        -- Once a day: values come and go.
        if not told or now - told >= DAY_MS then
          latches['x:' .. noted.group] = text_of(now)
          made.add('budget.values', w, 'values=' .. text_of(noted.size) .. ':' .. text_of(noted.most) .. ':' .. noted.group)
        end
      else
        tell_exceeded(w, noted.spec, noted.amount)
      end
    end
  end

  -- Called by commit() for a wallet in which something changed that may be an event.
  function made.look_at(w)
    looked_at[#looked_at + 1] = w
  end

  -- Called by commit() before it writes.
  function made.judge()
    table.sort(looked_at, function(a, b)
      return a.unit < b.unit
    end)
    for i = 1, #looked_at do
      judge(looked_at[i])
    end
    looked_at = {}
  end

  -- Called by commit().
  function made.write()
    for unit in pairs(changed) do
      local record = wallets[unit].watch
      if record then
        call('HSET', KEYS[1], 'e:' .. unit, record)
      else
        call('HDEL', KEYS[1], 'e:' .. unit)
      end
    end
    for field, latch in pairs(latches) do
      call('HSET', KEYS[7], field, latch)
    end
    for i = 1, #waiting do
      local seq = text_of(waiting[i])
      call('ZADD', KEYS[8], seq, seq)
    end
    if dropped > 0 then
      call('ZREMRANGEBYRANK', KEYS[8], 0, dropped - 1)
      call('HINCRBY', KEYS[1], 'events_dropped', dropped)
    end
    waiting, dropped, changed, latches = {}, 0, {}, {}
  end

  events = made
  return events
end
