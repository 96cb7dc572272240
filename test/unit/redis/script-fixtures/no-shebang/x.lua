--[[
x
]]
return 1
