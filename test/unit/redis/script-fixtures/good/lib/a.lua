--! include lib/b.lua
local function twice(key, amount, text) return { key, half(amount) * 4, text } end
