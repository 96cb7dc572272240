#!lua flags=no-writes
--[[
Settles that came too late and wait for an operator's word. Nothing is written.

KEYS[1]  account  hash  account, u:SEQ

Returns {seq, seq, …}: of their ledger entries, in no order.
]]

local reply = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  reply[#reply + 1] = string.match(field, '^u:(%d+)$')
end
return reply
