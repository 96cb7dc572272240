#!lua
--[[
Keeps what an operation of the admin API was answered, so that every gateway repeats it to who asks again under the same
key. The first answer stays.

KEYS[1]  answer  string  35 days

ARGV[1]  answer

Returns {answer}: the first one.
]]

local ANSWER_MS = 3024000000

redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ANSWER_MS)
return { redis.call('GET', KEYS[1]) }
