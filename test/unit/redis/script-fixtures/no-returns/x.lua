#!lua
--[[
Says what it is for.
]]
return 1
