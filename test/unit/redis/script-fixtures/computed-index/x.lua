#!lua
--[[
Says what it is for.

KEYS[1]  wallet  hash

ARGV[1]  amount

Returns {status}.
]]
local i = 1
return {KEYS[1], ARGV[1], KEYS[i]}
