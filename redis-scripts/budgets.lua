#!lua flags=no-writes
--[[
Counters of an account's budgets, a page of them, as if all that time has decided were swept. Nothing is written.

KEYS[1]  account  hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]  grants   hash    grant id -> record
KEYS[3]  order    zset    usable grants in drawdown order
KEYS[4]  due      zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds    hash    hold id -> record
KEYS[6]  ledger   stream  only its key: no script writes to another
KEYS[7]  budgets  hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events   zset    sequences of ledger events not yet handed over

ARGV[1]  cursor  0 to begin with
ARGV[2]  count   about how many

Returns {next_cursor, now_ms, field, record, field, …}: records as they are kept; next_cursor 0: there are no more.
]]
--! include lib/sweep.lua

local function list_counters()
  open_account('')
  sweep_due(-1)
  local page = call('HSCAN', KEYS[7], ARGV[1], 'MATCH', 'c:*', 'COUNT', ARGV[2])
  local reply = { page[1], text_of(now) }
  for i = 1, #page[2], 2 do
    local field = sub(page[2][i], 3)
    local record = budget_functions().further().current(field, page[2][i + 1])
    if record then
      reply[#reply + 1] = field
      reply[#reply + 1] = record
    end
  end
  return reply
end

return list_counters()
