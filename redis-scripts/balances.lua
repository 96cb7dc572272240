#!lua flags=no-writes
--[[
The wallets of an account, as if all that time has decided were swept. Nothing is written.

KEYS[1]  account  hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]  grants   hash    grant id -> record
KEYS[3]  order    zset    usable grants in drawdown order
KEYS[4]  due      zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds    hash    hold id -> record
KEYS[6]  ledger   stream  only its key: no script writes to another
KEYS[7]  budgets  hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events   zset    sequences of ledger events not yet handed over

Returns {frozen, unit, wallet, totals, periods, unit, …}: records as they are kept, periods as PERIOD=posted,held,closed_at;…
]]
--! include lib/totals.lua
--! include lib/sweep.lua

local function balances()
  open_account('')
  sweep_due(-1)
  local fields = call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    local unit = match(fields[i], '^w:(.+)$')
    local overflow_unit, period = match(fields[i], '^o:([^:]+):(.*)$')
    if unit then wallet_of(unit) end
    if overflow_unit then period_of(overflow_unit, period) end
  end
  local reply = { account.frozen and '1' or '0' }
  for unit, w in pairs(wallets) do
    if w.scale then
      local list = {}
      for field, period in pairs(periods) do
        local overflow_unit, name = match(field, '^([^:]+):(.*)$')
        if overflow_unit == unit then
          list[#list + 1] = name .. '=' .. text_of(period.posted) .. ',' .. text_of(period.held)
            .. ',' .. period.closed_at
        end
      end
      reply[#reply + 1] = unit
      reply[#reply + 1] = pack_wallet(w)
      reply[#reply + 1] = w.totals or NO_TOTALS
      reply[#reply + 1] = concat(list, ';')
    end
  end
  return reply
end

return balances()
