-- The end of what a hold has of its grants.
--! include lib/holds.lua

-- A grant stands once in a list of drawings, where it was first drawn on.
local function add_drawn(drawn, id, amount)
  for i = 1, #drawn do
    if drawn[i].id == id then
      drawn[i].amount = drawn[i].amount + amount
      return
    end
  end
  drawn[#drawn + 1] = { id = id, amount = amount }
end

--[[
Posts the prefix of the slices and releases the rest; answers what they did not cover. rare(): the functions for a grant
that is used up, or not usable any more (lib/posting.lua).
]]
local function post_slices(w, slices, final, drawn, transfers, rare)
  grants_of_slices(slices)
  local left = final
  for i = 1, #slices do
    local amount, grant = slices[i].amount, grants[slices[i].id]
    local part = math.min(left, amount)
    grant.held, grant.consumed = grant.held - amount, grant.consumed + part
    -- First: what becomes debt needs the room that it had while it was held.
    w.held = w.held - amount
    if part > 0 then
      transfers[#transfers + 1] = 'grant:' .. grant.id .. '>consumed=' .. text_of(part)
      add_drawn(drawn, grant.id, part)
    end
    if grant.state == 'u' then
      w.pinned = w.pinned - amount
      change_free(w, grant, amount - part)
      if grant.free + grant.held == 0 then rare().keep_in_order(grant) end
    else
      grants_changed[grant.id] = true
      rare().post_dead_slice(w, grant, amount, part, transfers)
    end
    left = left - part
  end
  return left
end
