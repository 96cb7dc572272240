-- The account in memory: everything is read, changed here, and written by commit() at the end, ledger first.
--! include lib/numbers.lua
--! include lib/time.lua

local account -- {seq, last_ms, frozen, open_holds, grants, stops, events}
local now -- milliseconds
local wallets = {} -- unit -> wallet
local periods = {} -- "UNIT:PERIOD" -> {posted, held, closed_at, heir} of overflow
local grants = {} -- id -> grant
local holds = {} -- id -> hold, or false where there is none
local entries = {} -- ledger entries to write: {seq, packed, info}
local grants_changed, holds_changed = {}, {} -- ids
local grant_facts = {} -- id -> JSON of a new grant
local order_changes, due_changes = {}, {} -- member -> true or false; member -> score or false

local function read_account(record)
  if not record then return { seq = 0, last_ms = 0, frozen = false, open_holds = 0, grants = 0, stops = 0, events = 0 } end
  local seq, last_ms, frozen, open_holds, count, stops, events =
    string.match(record, '^1|(%d+)|(%d+)|([01])|(%d+)|(%d+)|(%d+)|(%d+)$')
  if not seq then error('account record of an unknown form') end
  return {
    seq = number_of(seq),
    last_ms = number_of(last_ms),
    frozen = frozen == '1',
    open_holds = number_of(open_holds),
    grants = number_of(count),
    stops = number_of(stops),
    events = number_of(events),
  }
end

local WALLET_PATTERN = '^1|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$'

-- What the events of the next act are judged against: balance and debt before it.
local function note_before(w)
  w.had, w.owed = w.available + w.scoped + w.pinned, w.debt
end

local function read_wallet(unit, record)
  if not record then
    local none = { unit = unit, available = 0, scoped = 0, pinned = 0, pending = 0, held = 0, had = 0, owed = 0 }
    none.debt, none.debt_held, none.overflow, none.flagged, none.postpaid = 0, 0, 0, 0, 0
    return none
  end
  local scale, available, scoped, pinned, pending, held, debt, debt_held, overflow, flagged, postpaid =
    string.match(record, WALLET_PATTERN)
  if not scale then error('wallet record of an unknown form') end
  local w = {
    unit = unit,
    scale = number_of(scale),
    available = number_of(available),
    scoped = number_of(scoped),
    pinned = number_of(pinned),
    pending = number_of(pending),
    held = number_of(held),
    debt = number_of(debt),
    debt_held = number_of(debt_held),
    overflow = number_of(overflow),
    flagged = number_of(flagged),
    postpaid = number_of(postpaid),
  }
  note_before(w)
  return w
end

local function pack_wallet(w)
  return '1|' .. text_of(w.scale) .. '|' .. text_of(w.available) .. '|' .. text_of(w.scoped) .. '|' .. text_of(w.pinned)
    .. '|' .. text_of(w.pending) .. '|' .. text_of(w.held) .. '|' .. text_of(w.debt) .. '|' .. text_of(w.debt_held)
    .. '|' .. text_of(w.overflow) .. '|' .. text_of(w.flagged) .. '|' .. text_of(w.postpaid)
end

-- The first read of every script: the account, and the wallet of the unit that the call is about ('' for none).
local function open_account(unit)
  local read = redis.call('HMGET', KEYS[1], 'account', 'w:' .. unit, 't:' .. unit, 'e:' .. unit)
  account = read_account(read[1])
  now = read_time(account.last_ms)
  if unit ~= '' then
    local w = read_wallet(unit, read[2])
    w.totals_record, w.watch = read[3], read[4] or nil
    wallets[unit] = w
  end
end

-- What a script answers; where events wait to be handed over the status begins with `!`.
local function tell(reply)
  if account.events > 0 then reply[1] = '!' .. reply[1] end
  return reply
end

local function wallet_of(unit)
  local w = wallets[unit]
  if not w then
    local read = redis.call('HMGET', KEYS[1], 'w:' .. unit, 't:' .. unit, 'e:' .. unit)
    w = read_wallet(unit, read[1])
    w.totals_record, w.watch = read[2], read[3] or nil
    wallets[unit] = w
  end
  return w
end

local function period_of(unit, name)
  local field = unit .. ':' .. name
  local period = periods[field]
  if not period then
    local record = redis.call('HGET', KEYS[1], 'o:' .. field) or '0|0||'
    local posted, held, closed_at, heir = string.match(record, '^(%d+)|(%d+)|(%d*)|([^|]*)$')
    if not posted then error('overflow record of an unknown form') end
    period = { posted = number_of(posted), held = number_of(held), closed_at = closed_at, heir = heir }
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
    .. '|' .. table.concat(transfers, ',') .. '|' .. after .. '|' .. extra
  local entry = { account.seq, packed, info }
  entries[#entries + 1] = entry
  if w then w.last_entry = entry end
  return account.seq
end

-- An entry as it was written, for the answer to a retry: {from_ledger, seq, packed, info}; {from_ledger, seq} where it
-- was exported and trimmed: the caller reads it there.
local function answer_from_ledger(seq)
  local id = seq .. '-0'
  local found = redis.call('XRANGE', KEYS[6], id, id)
  if not found[1] then return { 'from_ledger', seq } end
  return { 'from_ledger', seq, found[1][2][2], found[1][2][4] }
end

local function transfer(transfers, from, to, amount)
  if amount > 0 then transfers[#transfers + 1] = from .. '>' .. to .. '=' .. text_of(amount) end
end

-- Fields or members to set, with their values or scores, and those to remove.
local function split_changes(changes, first_is_score)
  local set, remove = {}, {}
  for member, value in pairs(changes) do
    if value == false then
      remove[#remove + 1] = member
    elseif first_is_score then
      set[#set + 1] = value == true and 0 or text_of(value)
      set[#set + 1] = member
    else
      set[#set + 1] = member
      set[#set + 1] = value
    end
  end
  return set, remove
end

local function write_changes(key, set_command, remove_command, changes, first_is_score)
  if next(changes) == nil then return end
  local set, remove = split_changes(changes, first_is_score)
  -- unpack gives at most 8,000 values: an error here would come after the ledger was written.
  for i = 1, #set, 2000 do
    redis.call(set_command, key, unpack(set, i, math.min(i + 1999, #set)))
  end
  for i = 1, #remove, 2000 do
    redis.call(remove_command, key, unpack(remove, i, math.min(i + 1999, #remove)))
  end
end

local function account_fields()
  local fields = {
    'account',
    '1|' .. text_of(account.seq) .. '|' .. text_of(now) .. '|' .. (account.frozen and '1' or '0')
      .. '|' .. text_of(account.open_holds) .. '|' .. text_of(account.grants) .. '|' .. text_of(account.stops)
      .. '|' .. text_of(account.events),
  }
  for unit, w in pairs(wallets) do
    if w.scale then
      fields[#fields + 1] = 'w:' .. unit
      fields[#fields + 1] = pack_wallet(w)
      if w.totals_changed then
        fields[#fields + 1] = 't:' .. unit
        fields[#fields + 1] = w.pack_totals(w)
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
