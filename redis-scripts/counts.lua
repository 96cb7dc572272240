#!lua flags=no-writes
--[[
Four numbers of an account for the metrics, whatever its size. Nothing is written.

KEYS[1]  account  hash  account, timeouts, unmatched, events_dropped

Returns {open_holds, timeouts, unmatched, events_dropped}: holds that are open now (those past their deadline and not yet swept among
them), holds that ever timed out, settles that wait for an operator's word, and events that nobody took in time.
]]

local read = redis.call('HMGET', KEYS[1], 'account', 'timeouts', 'unmatched', 'events_dropped')
local open_holds = read[1] and string.match(read[1], '^1|%d+|%d+|(%d+)|') or '0'
return { open_holds, read[2] or '0', read[3] or '0', read[4] or '0' }
