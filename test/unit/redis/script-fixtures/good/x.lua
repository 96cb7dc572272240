#!lua
--[[
Says what it is for.

KEYS[1]  wallet  hash

ARGV[1]  amount

Returns {status}.
]]
--! include lib/a.lua
-- KEYS[7] in a comment and 'KEYS[8]' in a string are no uses.
local text = 'KEYS[8] -- not a comment'
return twice(KEYS[1], ARGV[1], text)
