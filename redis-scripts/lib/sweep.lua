-- What time alone decides: holds past their deadline, grants that become effective or expire, budget counters that
-- nobody uses any more. In the order of time.
--! include lib/holds.lua
--! include lib/overage.lua

local SWEEP_MAX = 32

-- Its functions are inside, so that a call that finds nothing due does not pay for making them (a tenth of a hold).
local function sweep_items(due)
--! include lib/posting.lua
--! include lib/new_grant.lua

  local function time_out(hold, at_ms)
    local w = wallet_of(hold.unit)
    local base = held_base(hold)
    local final = base
    if hold.on_timeout == 'release' then final = 0 end
    if hold.on_timeout == 'known' then final = math.min(base, math.max(hold.floor, hold.known)) end
    local transfers = {}
    local held = slices_total(hold.slices) + hold.over
    local drawn, over = end_hold(w, hold, final, transfers)
    local counted = hold.budgets ~= '' and budget_functions().finish(hold, budget_functions().timed_out(hold)) or ''
    add_total(w, 'posted', charged_by(drawn, over, 0))
    hold.state, hold.slices, hold.over_base, hold.over = 't', drawn, over.base, over.amount
    holds_changed[hold.id] = true
    due_changes['h' .. hold.id] = at_ms + hold.late_ms
    account.timeouts = (account.timeouts or 0) + 1
    add_entry('timeout', at_ms, hold.id, '', w, transfers, 'hold=' .. text_of(held) .. counted, '')
  end

  local function sweep_hold(id, at_ms)
    local hold = find_hold(id)
    if hold and hold.state == 'o' then return time_out(hold, at_ms) end
    -- The late window is over: nothing more can come for this id.
    holds[id] = false
    holds_changed[id] = true
    due_changes['h' .. id] = false
  end

  local function expire(w, grant)
    due_changes['g' .. grant.id] = false
    if grant.state ~= 'u' then return end
    order_changes[grant.member] = false
    grants_changed[grant.id] = true
    local rest, transfers = grant.free, {}
    change_free(w, grant, -rest)
    w.pinned = w.pinned - grant.held
    grant.state = 'x'
    grant.expired = grant.expired + rest
    if rest + grant.held == 0 then return end
    add_total(w, 'expired', rest)
    transfer(transfers, 'grant:' .. grant.id, 'expired', rest)
    add_entry('expire', grant.expires_at, grant.id, '', w, transfers, 'grant=' .. grant.id, '')
  end

  local function activate(w, grant)
    local amount = grant.free
    change_free(w, grant, -amount)
    grant.state = 'u'
    change_free(w, grant, amount)
    order_changes[grant.member] = true
    due_changes['g' .. grant.id] = grant.expires_at or false
    local transfers = {}
    if grant.repays == '1' and repay_debt(w, grant, transfers) > 0 then
      add_entry('grant', grant.effective_at, grant.id, '', w, transfers, 'grant=' .. grant.id .. ';activated=1', '')
    end
  end

  local function sweep_grant(id)
    load_grants({ id })
    local grant = grant_details(grants[id])
    local w = wallet_of(grant.unit)
    if grant.state == 'p' then activate(w, grant) end
    if grant.expires_at and grant.expires_at <= now then expire(w, grant) end
  end

  for i = 1, #due, 2 do
    local id = string.sub(due[i], 2)
    local kind = string.sub(due[i], 1, 1)
    if kind == 'h' then
      sweep_hold(id, number_of(due[i + 1]))
    elseif kind == 'b' then
      budget_functions().retire(id)
    else
      sweep_grant(id)
    end
  end
end

-- Takes what is due, at most `limit` items. Answers how many there were, and whether there are more.
local function sweep_due(limit)
  local due = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', text_of(now), 'WITHSCORES', 'LIMIT', 0, limit)
  if #due == 0 then return 0, false end
  sweep_items(due)
  local more = #due == 2 * limit
  for _, score in pairs(due_changes) do
    if score and score <= now then more = true end
  end
  return #due / 2, more
end

-- For scripts that write: one batch, written at once. True where more is due: the caller answers sweep_again.
local function sweep_and_commit()
  local swept, more = sweep_due(SWEEP_MAX)
  if swept > 0 then commit() end
  return more
end
