#!lua flags=no-writes
--[[
Settles that came too late and wait for an operator's word. Nothing is written.

KEYS[1]  account  hash  account, u:SEQ

Returns {seq, record, seq, …}: CALL|FINAL and unit|timed out|policy|facts of each, in no order.
]]

local reply = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local seq = string.match(fields[i], '^u:(%d+)$')
  if seq then
    reply[#reply + 1] = seq
    reply[#reply + 1] = fields[i + 1]
  end
end
return reply
