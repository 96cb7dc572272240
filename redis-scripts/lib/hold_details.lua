-- What the usual end of a hold does not need: the tail of its record.
--! include lib/holds.lua

-- How long after a timeout the call's own end still counts; in the record only where it is another.
local LATE_WINDOW_MS = 86400000

--[[
late_ms: how long after a timeout its own end still counts. checkpoint: number;arguments;answer of the last one;
ended: final;answer of a late settle.
]]
local function hold_details(hold)
  if not hold.tail then return hold end
  local floor, known, on_timeout, late_ms, created_at, deadline, price_version, checkpoint, ended, facts =
    match(hold.tail, '^(%d+)|(%d+)|(%l+),?(%d*)|(%d+)|(%d+)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if not floor then error('hold record of an unknown form: ' .. hold.id) end
  hold.floor, hold.known, hold.on_timeout = floor + 0, known + 0, on_timeout
  hold.late_ms = late_ms == '' and LATE_WINDOW_MS or late_ms + 0
  hold.created_at, hold.deadline, hold.price_version = created_at, deadline, price_version
  hold.checkpoint, hold.ended, hold.facts = checkpoint, ended, facts
  hold.tail = nil
  hold.pack_tail = function(h)
    local late = h.late_ms == LATE_WINDOW_MS and '' or ',' .. text_of(h.late_ms)
    return text_of(h.floor) .. '|' .. text_of(h.known) .. '|' .. h.on_timeout .. late .. '|' .. h.created_at
      .. '|' .. h.deadline .. '|' .. h.price_version .. '|' .. h.checkpoint .. '|' .. h.ended .. '|' .. h.facts
  end
  return hold
end

-- What a hold covers at price.
local function held_base(hold)
  return slices_total(hold.slices) + hold.over_base
end
