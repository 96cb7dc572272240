#!lua
--[[

Returns {status}.
]]
return 1
