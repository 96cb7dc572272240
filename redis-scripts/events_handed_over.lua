#!lua flags=allow-oom
--[[
Forgets events that were handed over: they stay in the ledger. No money moves, so it has no entry and sweeps nothing.

KEYS[1]  account  hash  account
KEYS[2]  events   zset  sequences of ledger events not yet handed over

ARGV[1]  up_to_seq  the last one that was handed over

Returns {left}: how many wait still.
]]

local record = redis.call('HGET', KEYS[1], 'account')
if not record then return { '0' } end
local rest = string.match(record, '^(1|%d+|%d+|%d+|%d+|[01]|%d+|)%d+$')
-- Without its last three parts the record says that nothing waits.
if not rest and string.find(record, '^1|%d+|%d+|%d+|%d+$') then return { '0' } end
if not rest then error('account record of an unknown form') end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
local left = string.format('%.0f', redis.call('ZCARD', KEYS[2]))
redis.call('HSET', KEYS[1], 'account', rest .. left)
return { left }
