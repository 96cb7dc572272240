#!lua flags=no-writes
--[[
Two numbers of an account for the metrics, whatever its size. Nothing is written.

KEYS[1]  account  hash  account, timeouts

Returns {open_holds, timeouts}: holds that are open now (those past their deadline and not yet swept among them), and
holds that ever timed out.
]]

local read = redis.call('HMGET', KEYS[1], 'account', 'timeouts')
local open_holds = read[1] and string.match(read[1], '^1|%d+|%d+|[01]|(%d+)|%d+|%d+|%d+$') or '0'
return { open_holds, read[2] or '0' }
