-- The end of a hold: what is posted, what goes back, what goes beyond it.
--! include lib/slices.lua
--! include lib/hold_details.lua
--! include lib/overage.lua
--! include lib/totals.lua
--! include lib/grant_details.lua

local function multiply_half_even(base, millionths)
  local whole, remainder = multiply(base, millionths)
  if remainder > 500000 or (remainder == 500000 and whole % 2 == 1) then return whole + 1 end
  return whole
end

-- Charges up to `amount` to grants that are usable now; answers what they took.
local function draw_further(w, facts, amount, drawn, transfers)
  if amount == 0 then return 0 end
  local found = eligible_grants(w.unit, facts, amount)
  local left = amount
  for i = 1, #found do
    if left == 0 then break end
    local grant = found[i]
    local part = math.min(left, grant.free)
    change_free(w, grant, -part)
    grant.consumed = grant.consumed + part
    keep_in_order(grant)
    transfer(transfers, 'grant:' .. grant.id, 'consumed', part)
    add_drawn(drawn, grant.id, part)
    left = left - part
  end
  return amount - left
end

-- What is consumed of a grant that was clawed back is owed: the debt pays for it, and the grant forfeits it.
local function claw_consumed(w, grant, amount, transfers)
  if amount == 0 then return end
  grant_details(grant)
  grant.consumed, grant.voided = grant.consumed - amount, grant.voided + amount
  grants_changed[grant.id] = true
  add_total(w, 'expired', amount)
  post_overage(w, 'debt', amount)
  transfer(transfers, 'debt', 'grant:' .. grant.id, amount)
  transfer(transfers, 'grant:' .. grant.id, 'voided', amount)
end

-- A slice of a grant that is expired, voided or clawed back: what it releases goes where the grant's rest went.
local function post_dead_slice(w, grant, amount, part, transfers)
  if grant.state == 'c' then claw_consumed(w, grant, part, transfers) end
  return_to_grant(w, grant, amount - part, transfers)
end

local function posting_functions()
  return { keep_in_order = keep_in_order, post_dead_slice = post_dead_slice }
end

--[[
Posts `excess`, which no hold covers, for a call of these terms: further grants, then overage as the policy has it, then
debt beyond any limit. over_base and over are what the call posted as overage before; answers both anew, and the overrun.
]]
local function post_forced(w, policy, facts, excess, within, drawn, transfers, over)
  local beyond = excess - draw_further(w, facts, excess, drawn, transfers)
  local admitted = math.min(beyond, math.max(0, overage_room(w, policy) - within))
  local over_base = over.base + within + admitted
  local total = multiply_half_even(over_base, policy.multiplier)
  local name = posting_account(w, policy)
  if total > over.amount then
    post_overage(w, name, total - over.amount)
    note_overage(w, policy.mode, name, total - over.amount)
    transfer(transfers, name, 'consumed', total - over.amount)
  end
  local overrun = beyond - admitted
  post_overage(w, 'debt', overrun)
  if overrun > 0 then note_overage(w, 'overrun', 'debt', overrun) end
  transfer(transfers, 'debt', 'consumed', overrun)
  return { base = over_base, amount = total }, overrun
end

-- What a list of drawings comes to.
local function charged_by(drawn, over, overrun)
  return within_range(slices_total(drawn) + over.amount + overrun)
end

-- Ends an open hold at `final`. Answers the drawings, the overage and the overrun; nothing of the hold stays held.
local function end_hold(w, hold, final, transfers)
  local drawn = {}
  local policy = read_policy(hold.policy)
  if policy.observe then policy = observed(policy) end
  local left = post_slices(w, hold.slices, final, drawn, transfers, posting_functions)
  hold_overage(w, policy, -hold.over)
  account.open_holds = account.open_holds - 1
  if left == 0 then return drawn, { base = 0, amount = 0 }, 0 end
  local within = math.min(left, hold.over_base)
  local over, overrun =
    post_forced(w, policy, hold_details(hold).facts, left - within, within, drawn, transfers, { base = 0, amount = 0 })
  return drawn, over, overrun
end
