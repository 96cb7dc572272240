#!lua flags=no-writes
--[[
The open holds of an account, as if all that time has decided were swept. Nothing is written.

KEYS[1]  account  hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]  grants   hash    grant id -> record
KEYS[3]  order    zset    usable grants in drawdown order
KEYS[4]  due      zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds    hash    hold id -> record
KEYS[6]  ledger   stream  only its key: no script writes to another
KEYS[7]  budgets  hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events   zset    sequences of ledger events not yet handed over

Returns {hold_id, record, hold_id, …}: records as they are kept, and at the end of each the scale of its unit.
]]
--! include lib/hold_details.lua

local function list_holds()
  open_account('')
  local fields = call('HGETALL', KEYS[5])
  local reply = {}
  for i = 1, #fields, 2 do
    local hold = hold_details(find_hold(fields[i], fields[i + 1]))
    if hold.state == 'o' and tonumber(hold.deadline) > now then
      reply[#reply + 1] = hold.id
      reply[#reply + 1] = fields[i + 1]
      reply[#reply + 1] = text_of(wallet_of(hold.unit).scale)
    end
  end
  return reply
end

return list_holds()
