#!lua flags=no-writes
--[[
Three numbers of an account for the metrics, whatever its size. Nothing is written.

KEYS[1]  account  hash  account, timeouts, unmatched

Returns {open_holds, timeouts, unmatched}: holds that are open now (those past their deadline and not yet swept among
them), holds that ever timed out, and settles that wait for an operator's word.
]]

local read = redis.call('HMGET', KEYS[1], 'account', 'timeouts', 'unmatched')
local open_holds = read[1] and string.match(read[1], '^1|%d+|%d+|[01]|(%d+)|%d+|%d+|%d+$') or '0'
return { open_holds, read[2] or '0', read[3] or '0' }
