#!lua flags=no-writes
--[[
Events of an account that wait to be handed over, oldest first. Nothing is written.

KEYS[1]  ledger  stream  <seq>-0
KEYS[2]  events  zset    sequences of ledger events not yet handed over

ARGV[1]  limit
ARGV[2]  after_seq  those after it; 0: all

Returns {seq, entry, seq, …}: ledger entries, which of events have no JSON beside them; '' for one that was exported and
trimmed.
]]

local reply = {}
local waiting = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'LIMIT', 0, ARGV[1])
for i = 1, #waiting do
  local id = waiting[i] .. '-0'
  local found = redis.call('XRANGE', KEYS[1], id, id)
  reply[#reply + 1] = waiting[i]
  reply[#reply + 1] = found[1] and found[1][2][2] or ''
end
return reply
