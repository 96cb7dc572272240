#!lua
--[[
Says what it is for.

KEYS[1]  wallet  hash

ARGV[1]  amount

Returns {status}.
]]
--! include lib/a.lua
return {KEYS[1], ARGV[1]}
