#!lua flags=no-writes
--[[
The stops in force of an account. Nothing is written.

KEYS[1]  account  hash  account, s:KIND:VALUE

Returns {name, stop, name, …}: run:VALUE and the like, and the JSON of each.
]]

local reply = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local name = string.match(fields[i], '^s:(.+)$')
  if name then
    reply[#reply + 1] = name
    reply[#reply + 1] = fields[i + 1]
  end
end
return reply
