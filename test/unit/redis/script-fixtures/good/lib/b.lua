local function half(amount) return amount / 2 end
