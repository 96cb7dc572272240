#!lua
--[[
Says what it is for.

KEYS[1]  wallet  hash

ARGV[2]  amount

Returns {status}.
]]
return {KEYS[1], ARGV[2]}
