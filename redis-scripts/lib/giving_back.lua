-- What a charge gives back, whoever it was drawn from: a late settle that was too dear, a refund.
--! include lib/posting.lua
--! include lib/new_grant.lua

-- A fresh grant of what has nowhere to go back to. `labels` is a JSON object.
local function credit_grant(w, id, amount, funding, labels, transfers)
  if amount == 0 then return end
  local facts = '{"scale":' .. w.scale .. ',"funding":"' .. funding .. '","priority":10,"repaysDebt":false,"labels":'
    .. labels .. '}'
  local head = funding == 'promotional' and CREDIT_ORDER or CREDIT_ORDER_PAID
  create_grant(w, id, amount, now, nil, head, 'g', '0', '', facts)
  transfer(transfers, 'consumed', 'fund:' .. funding, amount)
  transfer(transfers, 'fund:' .. funding, 'grant:' .. id, amount)
end

--[[
Takes `amount` off what is owed under `name`; answers what was repaid meanwhile and so has to come back as credit, and
the period where that is a credit note: a closed period is an invoice item and never changes.
]]
local function forgive(w, name, amount, transfers)
  local period_name = match(name, '^overflow:(.*)$')
  if period_name and period_of(w.unit, period_name).closed_at ~= '' then return amount, period_name end
  local rest = post_overage(w, name, -amount)
  transfer(transfers, 'consumed', name, amount - rest)
  return rest, nil
end

-- Gives a part of what was drawn from a grant back to it; answers what has to come back as credit instead.
local function give_to_drawn(w, grant, amount, transfers)
  -- What was consumed of a grant and then clawed back became debt.
  local part = math.min(amount, grant.consumed)
  grant.consumed = grant.consumed - part
  transfer(transfers, 'consumed', 'grant:' .. grant.id, part)
  return_to_grant(w, grant, part, transfers) -- free again, or gone with a grant that is gone
  if part == amount then return 0 end
  return (forgive(w, 'debt', amount - part, transfers))
end
