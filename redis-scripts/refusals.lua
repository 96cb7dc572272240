#!lua flags=no-writes
--[[
The refusals that an account keeps. Nothing is written.

KEYS[1]  refusals  stream  about the last 1,000

Returns {ms, operation, id, status, needed, available, rule, ms, …}, oldest first.
]]

local reply = {}
local kept = redis.call('XRANGE', KEYS[1], '-', '+')
for i = 1, #kept do
  local fields = {}
  for j = 1, #kept[i][2], 2 do
    fields[kept[i][2][j]] = kept[i][2][j + 1]
  end
  reply[#reply + 1] = string.match(kept[i][1], '^%d+')
  for _, name in ipairs({ 'operation', 'id', 'status', 'needed', 'available', 'rule' }) do
    reply[#reply + 1] = fields[name] or ''
  end
end
return reply
