-- Events: what someone should hear of, written in the same act as its cause. Made on demand: few acts have one.
--! include lib/account.lua

local events -- what event_functions() made, once a script

--[[
What is watched of a wallet stands in the account's hash under e:UNIT, where there is anything to remember:
"1 alerts told", `-` for an empty part. told: what was told and is not armed again, x (exhausted).
]]
local function event_functions()
  if events then return events end
  local EVENTS_MAX = 10000 -- that wait to be handed over; the ledger keeps those that are dropped
  local waiting, dropped, changed = {}, 0, {}
  local made = {}

  local function add(name, w, extra)
    waiting[#waiting + 1] = add_entry('event', now, name, '', w, {}, extra, '')
    if account.events < EVENTS_MAX then
      account.events = account.events + 1
    else
      dropped = dropped + 1
    end
  end

  local function part(text)
    return text == '-' and '' or text
  end

  local function read_watch(record)
    local alerts, told = string.match(record or '1 - -', '^1 (%S+) (%S+)$')
    if not alerts then error('watch record of an unknown form') end
    local watch = { alerts = part(alerts), told = {} }
    for token in string.gmatch(part(told), '[^,]+') do
      watch.told[#watch.told + 1] = token
    end
    return watch
  end

  local function pack_watch(watch)
    local parts = { watch.alerts, table.concat(watch.told, ',') }
    if table.concat(parts) == '' then return nil end
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

  -- New money, or money given back, arms again what it puts right.
  local function arm(watch)
    watch.told = {}
  end

  local function tell_exhausted(w, watch, balance)
    local ran_out = w.had > 0 and balance == 0
    if not ran_out and not w.refused then return end
    if was_told(watch, 'x') then return end
    watch.told[#watch.told + 1] = 'x'
    add('wallet.exhausted', w, w.refused and 'needed=' .. text_of(w.refused) or '')
  end

  local function judge(w)
    local balance = w.available + w.scoped + w.pinned
    local watch = read_watch(w.watch)
    if balance > w.had or w.debt < w.owed then arm(watch) end
    tell_exhausted(w, watch, balance)
    local record = pack_watch(watch)
    if record == w.watch then return end
    -- Said by the last entry about the wallet, so that a replay knows it.
    local entry = w.last_entry
    entry[2] = entry[2] .. ';watch=' .. (record or '')
    w.watch = record
    changed[w.unit] = true
  end

  function made.is_told(w, token)
    return was_told(read_watch(w.watch), token)
  end

  -- Called by commit() before it writes: what the changes of wallets make known.
  function made.judge()
    local units = {}
    for unit, w in pairs(wallets) do
      if w.scale then units[#units + 1] = unit end
    end
    table.sort(units)
    for i = 1, #units do
      judge(wallets[units[i]])
    end
  end

  -- Called by commit().
  function made.write()
    for unit in pairs(changed) do
      local record = wallets[unit].watch
      if record then
        redis.call('HSET', KEYS[1], 'e:' .. unit, record)
      else
        redis.call('HDEL', KEYS[1], 'e:' .. unit)
      end
    end
    for i = 1, #waiting do
      local seq = text_of(waiting[i])
      redis.call('ZADD', KEYS[8], seq, seq)
    end
    if dropped > 0 then
      redis.call('ZREMRANGEBYRANK', KEYS[8], 0, dropped - 1)
      redis.call('HINCRBY', KEYS[1], 'events_dropped', dropped)
    end
    waiting, dropped, changed = {}, 0, {}
  end

  events = made
  return events
end
