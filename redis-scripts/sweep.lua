#!lua flags=allow-oom
--[[
Applies what time has decided: holds past their deadline, grants that become effective or expire; at most 32 items.
Any script that writes does the same first; this one serves accounts where nothing else happens.

KEYS[1]  account  hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]  grants   hash    grant id -> record; i:ID -> facts
KEYS[3]  order    zset    usable grants in drawdown order
KEYS[4]  due      zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds    hash    hold id -> record
KEYS[6]  ledger   stream  <seq>-0
KEYS[7]  budgets  hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events   zset    sequences of ledger events not yet handed over

Returns {swept, next_due_ms}: how many items were taken, and when the next is due ('' for none).
]]
--! include lib/sweep.lua

local function sweep()
  open_account('')
  local swept = sweep_due(SWEEP_MAX)
  if swept > 0 then commit() end
  local next_due = call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
  return { text_of(swept), next_due[2] and text_of(tonumber(next_due[2])) or '' }
end

return tell(sweep())
