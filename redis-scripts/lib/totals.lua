-- Lifetime totals of a wallet: granted, posted, expired.
--! include lib/account.lua

-- Lifetime totals are each kept as high × 10^15 + low, so that they may pass 2^53.
local TOTAL_PART = 1000000000000000

local function read_totals(w, record)
  if not record then record = '0|0|0|0|0|0' end
  local a, b, c, d, e, f = string.match(record, '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$')
  if not a then error('totals of an unknown form') end
  w.totals = {
    granted = { number_of(a), number_of(b) },
    posted = { number_of(c), number_of(d) },
    expired = { number_of(e), number_of(f) },
  }
end

local function pack_totals(w)
  local t = w.totals
  return text_of(t.granted[1]) .. '|' .. text_of(t.granted[2]) .. '|' .. text_of(t.posted[1])
    .. '|' .. text_of(t.posted[2]) .. '|' .. text_of(t.expired[1]) .. '|' .. text_of(t.expired[2])
end

-- Adds to a lifetime total: granted, posted or expired. Amounts may be negative (what is given back).
local function add_total(w, name, amount)
  if amount == 0 then return end
  if not w.totals then read_totals(w, w.totals_record) end
  local total = w.totals[name]
  -- The amount is split first: low and a whole amount together may pass 2^53.
  local high = math.floor(amount / TOTAL_PART)
  local low = total[2] + (amount - high * TOTAL_PART)
  local carry = math.floor(low / TOTAL_PART)
  total[1] = total[1] + high + carry
  total[2] = low - carry * TOTAL_PART
  w.totals_changed, w.pack_totals = true, pack_totals
end
