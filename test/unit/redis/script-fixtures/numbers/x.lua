#!lua
--[[
Prints a number.

ARGV[1]  number

Returns {number}.
]]

return { string.format('%.0f', ARGV[1] + 0) }
