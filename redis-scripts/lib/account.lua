-- The account in memory: everything is read, changed here, and written by commit() at the end, ledger first.
--! include lib/numbers.lua
--! include lib/time.lua

-- How long what an id was answered is kept, and within which an id opens a hold.
local RECORDS_MS = 3600000

local account -- {seq, last_ms, open_holds, grants, frozen, stops, events}
local now -- milliseconds
local wallets = {} -- unit -> wallet
local periods = {} -- "UNIT:PERIOD" -> {posted, held, closed_at, heir} of overflow
local grants = {} -- id -> grant
local holds = {} -- id -> hold, or false where there is none
local entries = {} -- ledger entries to write: {seq, packed, info}
local grants_changed, holds_changed = {}, {} -- ids
local grant_facts = {} -- id -> JSON of a new grant
local order_changes, due_changes = {}, {} -- member -> true or false; member -> score or false

-- In a record of ours the pattern says that a number is digits: text + 0 is it, at a third of what tonumber costs.
local function read_account(record)
  if not record then
    return { seq = 0, last_ms = 0, open_holds = 0, grants = 0, frozen = false, stops = 0, events = 0 }
  end
  local seq, last_ms, open_holds, count, rest = match(record, '^1|(%d+)|(%d+)|(%d+)|(%d+)(.*)$')
  local frozen, stops, events = '0', 0, 0
  if rest ~= '' then
    frozen, stops, events = match(rest or '', '^|([01])|(%d+)|(%d+)$')
    if not frozen then error('account record of an unknown form') end
  end
  return {
    seq = seq + 0, last_ms = last_ms + 0, open_holds = open_holds + 0, grants = count + 0, frozen = frozen == '1',
    stops = stops + 0, events = events + 0,
  }
end

local function pack_account()
  local packed = '1|' .. text_of(account.seq) .. '|' .. text_of(now) .. '|' .. text_of(account.open_holds)
    .. '|' .. text_of(account.grants)
  if not account.frozen and account.stops + account.events == 0 then return packed end
  return packed .. '|' .. (account.frozen and '1' or '0') .. '|' .. text_of(account.stops)
    .. '|' .. text_of(account.events)
end

-- had, owed: balance and debt before the act, against which its events are judged.
local function read_wallet(unit, record, totals, watch)
  local w = {
    unit = unit, totals = totals or nil, totals_record = totals or nil, watch = watch or nil, scale = nil, available = 0, pinned = 0, held = 0,
    scoped = 0, pending = 0, debt = 0, debt_held = 0, overflow = 0, flagged = 0, postpaid = 0, had = 0, owed = 0,
  }
  if not record then return w end
  local available, pinned, held, scale, rest = match(record, '^1|(%d+)|(%d+)|(%d+)|(%d+)(.*)$')
  if not scale then error('wallet record of an unknown form') end
  w.available, w.pinned, w.held, w.scale = available + 0, pinned + 0, held + 0, scale + 0
  w.had = w.available + w.pinned
  if rest ~= '' then
    local scoped, pending, debt, debt_held, overflow, flagged, postpaid =
      match(rest, '^|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$')
    if not scoped then error('wallet record of an unknown form') end
    w.scoped, w.pending, w.debt, w.debt_held = scoped + 0, pending + 0, debt + 0, debt_held + 0
    w.overflow, w.flagged, w.postpaid = overflow + 0, flagged + 0, postpaid + 0
    w.had, w.owed = w.had + w.scoped, w.debt
  end
  return w
end

local function pack_wallet(w)
  local packed = '1|' .. text_of(w.available) .. '|' .. text_of(w.pinned) .. '|' .. text_of(w.held)
    .. '|' .. text_of(w.scale)
  if w.scoped + w.pending + w.debt + w.debt_held + w.overflow + w.flagged + w.postpaid == 0 then return packed end
  return packed .. '|' .. text_of(w.scoped) .. '|' .. text_of(w.pending) .. '|' .. text_of(w.debt)
    .. '|' .. text_of(w.debt_held) .. '|' .. text_of(w.overflow) .. '|' .. text_of(w.flagged)
    .. '|' .. text_of(w.postpaid)
end

-- The first read of every script: the account, and the wallet of the unit that the call is about ('' for none).
local function open_account(unit)
  local read = call('HMGET', KEYS[1], 'account', 'w:' .. unit, 't:' .. unit, 'e:' .. unit)
  account = read_account(read[1])
  now = read_time(account.last_ms)
  if unit ~= '' then wallets[unit] = read_wallet(unit, read[2], read[3], read[4]) end
end

-- What a script answers; where events wait to be handed over the status begins with `!`.
local function tell(reply)
  if account.events > 0 then reply[1] = '!' .. reply[1] end
  return reply
end

local function wallet_of(unit)
  local w = wallets[unit]
  if not w then
    local read = call('HMGET', KEYS[1], 'w:' .. unit, 't:' .. unit, 'e:' .. unit)
    w = read_wallet(unit, read[1], read[2], read[3])
    wallets[unit] = w
  end
  return w
end

-- available,held of a wallet that has nothing else; otherwise followed by all that there is.
local function balances_after(w)
  local packed = text_of(w.available) .. ',' .. text_of(w.held)
  local rest = w.scoped + w.pending + w.debt + w.overflow + w.flagged + w.postpaid
  if rest == 0 and w.pinned == w.held then return packed end
  return packed .. ',' .. text_of(w.available + w.scoped + w.pinned) .. ',' .. text_of(w.scoped)
    .. ',' .. text_of(w.pending) .. ',' .. text_of(w.debt) .. ',' .. text_of(w.overflow)
    .. ',' .. text_of(w.flagged) .. ',' .. text_of(w.postpaid)
end

-- Adds a ledger entry and answers its sequence. `w` nil: the entry is about no wallet. Call it after the changes.
local function add_entry(kind, at_ms, operation, actor, w, transfers, extra, info)
  account.seq = account.seq + 1
  local after, unit, scale = '', '', '0'
  if w then
    after, unit, scale = balances_after(w), w.unit, text_of(w.scale)
  end
  local packed = kind .. '|' .. text_of(at_ms) .. '|' .. operation .. '|' .. actor .. '|' .. unit .. '|' .. scale
    .. '|' .. concat(transfers, ',') .. '|' .. after .. '|' .. extra
  local entry = { account.seq, packed, info }
  entries[#entries + 1] = entry
  if w then w.last_entry = entry end
  return account.seq
end

local function transfer(transfers, from, to, amount)
  if amount > 0 then transfers[#transfers + 1] = from .. '>' .. to .. '=' .. text_of(amount) end
end

-- unpack gives at most 8,000 values, and an error would come after the ledger was written.
local function write_all(command, key, list)
  for i = 1, #list, 2000 do
    call(command, key, unpack(list, i, math.min(i + 1999, #list)))
  end
end

-- Fields or members to set, with their values or scores, and those to remove.
local function write_changes(key, set_command, remove_command, changes)
  if next(changes) == nil then return end
  local set, remove = {}, {}
  for member, value in pairs(changes) do
    if value == false then
      remove[#remove + 1] = member
    elseif set_command == 'ZADD' then
      set[#set + 1] = value == true and '0' or text_of(value)
      set[#set + 1] = member
    else
      set[#set + 1] = member
      set[#set + 1] = value
    end
  end
  write_all(set_command, key, set)
  write_all(remove_command, key, remove)
end

local function account_fields()
  local fields = { 'account', pack_account() }
  for unit, w in pairs(wallets) do
    if w.scale then
      fields[#fields + 1] = 'w:' .. unit
      fields[#fields + 1] = pack_wallet(w)
      if w.totals_changed then
        fields[#fields + 1] = 't:' .. unit
        fields[#fields + 1] = w.totals
      end
    end
  end
  for field, period in pairs(periods) do
    if period.changed then
      fields[#fields + 1] = 'o:' .. field
      fields[#fields + 1] = text_of(period.posted) .. '|' .. text_of(period.held)
        .. '|' .. period.closed_at .. '|' .. period.heir
    end
  end
  return fields
end
