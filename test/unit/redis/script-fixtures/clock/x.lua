#!lua flags=no-writes
--[[
Answers the time.

Returns {ms}.
]]
local time = redis.call('TIME')
return { string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)) }
