-- Lifetime totals of a wallet: granted, posted, expired.
--! include lib/account.lua

-- Lifetime totals are each kept as high × 10^15 + low, so that they may pass 2^53.
local TOTAL_PART = 1000000000000000
local NO_TOTALS = '0|0|0|0|0|0'
local TOTAL_PATTERNS = {
  granted = '^(|?)(%d+)|(%d+)(.*)$',
  posted = '^(%d+|%d+|)(%d+)|(%d+)(.*)$',
  expired = '^(%d+|%d+|%d+|%d+|)(%d+)|(%d+)(.*)$',
}

-- Adds to a lifetime total: granted, posted or expired. Amounts may be negative (what is given back).
local function add_total(w, name, amount)
  if amount == 0 then return end
  local before, total_high, total_low, after = match(w.totals or NO_TOTALS, TOTAL_PATTERNS[name])
  if not before then error('totals of an unknown form') end
  -- The amount is split first: low and a whole amount together may pass 2^53.
  local high = math.floor(amount / TOTAL_PART)
  local low = total_low + (amount - high * TOTAL_PART)
  local carry = math.floor(low / TOTAL_PART)
  w.totals = before .. text_of(total_high + high + carry) .. '|' .. text_of(low - carry * TOTAL_PART) .. after
  w.totals_changed = true
end
