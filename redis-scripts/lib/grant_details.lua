-- What is rare about a grant: the rest of its record, leaving the order, taking something back.
--! include lib/grants.lua
--! include lib/totals.lua

-- All that is, or may come back, in grants that live: a number of Redis's own, whatever is held or released.
local function live_total(w)
  return w.available + w.scoped + w.pinned + w.pending
end

-- The rest of the record, for what is rare: expiry, void, leaving the order.
local function grant_details(grant)
  if not grant.tail then return grant end
  local expired, voided, voided_at, created_at, effective_at, expires_at, repays, terms, unit, member, filter =
    match(grant.tail, '^(%d+)|(%d+)|(%d*)|(%d+)|(%d+)|(%d*)|([01])|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if not expired then error('grant record of an unknown form: ' .. grant.id) end
  grant.expired, grant.voided = expired + 0, voided + 0
  grant.voided_at, grant.effective_at, grant.expires_at = voided_at, tonumber(effective_at), tonumber(expires_at)
  grant.created_at, grant.repays, grant.terms = created_at, repays, terms
  grant.unit, grant.member, grant.filter = unit, member, filter
  grant.tail = nil
  return grant
end

--[[
Terms of a grant: payment,availability,rollover. payment: n(one), p(ending), a(uthorized), s(ettled), f(ailed);
availability: on c(reation), a(uthorization), s(ettlement); rollover: '' or what its end leaves to the next period.
]]
local function terms_of(grant)
  local payment, availability, rollover = match(grant.terms, '^([npasf]),([cas]),(.*)$')
  if not payment then return 'n', 'c', '' end
  return payment, availability, rollover
end

local function is_paid_enough(grant)
  local payment, availability = terms_of(grant)
  if availability == 'c' then return payment ~= 'f' end
  if availability == 'a' then return payment == 'a' or payment == 's' end
  return payment == 's'
end

-- A usable grant is in the order while something is free or held in it: what is held may come back.
local function keep_in_order(grant)
  if grant.state ~= 'u' then return end
  if grant.free + grant.held == 0 then
    order_changes[grant_details(grant).member] = false
  elseif grant.left_order then
    order_changes[grant_details(grant).member] = true
  end
end

-- Gives what left a hold, or a charge, back to its grant: to free, or to where the dead grant's rest went.
local function return_to_grant(w, grant, amount, transfers)
  if amount == 0 then return end
  grants_changed[grant.id] = true
  if grant.state == 'u' then
    if grant.free + grant.held == 0 then grant.left_order = true end
    change_free(w, grant, amount)
    keep_in_order(grant)
    return
  end
  grant_details(grant)
  local account_name = grant.state == 'x' and 'expired' or 'voided'
  grant[account_name] = grant[account_name] + amount
  add_total(w, 'expired', amount)
  transfer(transfers, 'grant:' .. grant.id, account_name, amount)
end
