-- New grants, and what new money does first.
--! include lib/grant_details.lua
--! include lib/events.lua

-- Order key, up to the cost basis, of a promotional grant that we make ourselves: priority 10, general, never expires.
local CREDIT_ORDER = '00101' .. '9999999999999999' .. '000!'
local CREDIT_ORDER_PAID = '00101' .. '9999999999999999' .. '100!'

-- A grant that lives twice as long as its notice is told to expire; a shorter one goes as it came.
local function plan_notice(w, grant)
  local notice = event_functions().expires_in(w)
  local at_ms = grant.expires_at - notice
  if at_ms > now and grant.expires_at - grant.effective_at >= 2 * notice then due_changes['e' .. grant.id] = at_ms end
end

-- A new grant with `amount` in it, of which `repaid` goes to debt at once. `head` is the order key up to cost_basis.
local function create_grant(w, id, amount, effective_at, expires_at, head, scope, repays, filter, facts_json, terms)
  account.grants = account.grants + 1
  local grant = {
    id = id, free = 0, held = 0, consumed = 0, expired = 0, voided = 0, voided_at = '', created_at = text_of(now),
    state = 'p', scope = scope, terms = terms or '', effective_at = effective_at, expires_at = expires_at,
    repays = repays, unit = w.unit, filter = filter,
    member = format('%s:%s%016.0f%016.0f%s', w.unit, head, effective_at, account.seq + 1, id),
  }
  if effective_at <= now and is_paid_enough(grant) then grant.state = 'u' end
  grants[id] = grant
  grant_facts[id] = facts_json
  change_free(w, grant, amount)
  add_total(w, 'granted', amount)
  if grant.state == 'p' then
    -- One that waits for its payment alone has no edge but its end.
    due_changes['g' .. id] = is_paid_enough(grant) and effective_at or expires_at
  else
    if expires_at then due_changes['g' .. id] = expires_at end
    order_changes[grant.member] = true
    w.funded = true
  end
  if expires_at then plan_notice(w, grant) end
  return grant
end

-- New money repays debt first: what it repays counts as consumed of the grant.
local function repay_debt(w, grant, transfers)
  local repaid = math.min(w.debt, grant.free)
  if repaid == 0 then return 0 end
  change_free(w, grant, -repaid)
  grant.consumed = grant.consumed + repaid
  w.debt = w.debt - repaid
  transfer(transfers, 'grant:' .. grant.id, 'debt', repaid)
  keep_in_order(grant)
  return repaid
end

-- A pending grant whose time and payment have come. Answers what it repaid.
local function become_usable(w, grant, transfers)
  local amount = grant.free
  change_free(w, grant, -amount)
  grant.state = 'u'
  change_free(w, grant, amount)
  order_changes[grant.member] = true
  w.funded = true
  due_changes['g' .. grant.id] = grant.expires_at or false
  return grant.repays == '1' and repay_debt(w, grant, transfers) or 0
end
