#!lua flags=no-writes
--[[
All grants of an account, as if all that time has decided were swept. Nothing is written.

KEYS[1]  account  hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]  grants   hash    grant id -> record; i:ID -> facts
KEYS[3]  order    zset    usable grants in drawdown order
KEYS[4]  due      zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds    hash    hold id -> record
KEYS[6]  ledger   stream  only its key: no script writes to another
KEYS[7]  budgets  hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events   zset    sequences of ledger events not yet handed over

Returns {grant_id, record, facts, grant_id, …}: records as they are kept.
]]
--! include lib/sweep.lua

local function list_grants()
  open_account('')
  sweep_due(-1)
  local fields = call('HGETALL', KEYS[2])
  local records, facts = {}, {}
  for i = 1, #fields, 2 do
    local of = match(fields[i], '^i:(.+)$')
    if of then
      facts[of] = fields[i + 1]
    else
      records[fields[i]] = fields[i + 1]
    end
  end
  -- What an allowance left behind may not be written yet.
  for id, made in pairs(grant_facts) do
    records[id], facts[id] = '', made
  end
  local reply = {}
  for id, record in pairs(records) do
    reply[#reply + 1] = id
    reply[#reply + 1] = grants[id] and pack_grant(grants[id]) or record
    reply[#reply + 1] = facts[id]
  end
  return reply
end

return list_grants()
