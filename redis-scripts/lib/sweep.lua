-- What time alone decides: holds past their deadline, grants that become effective, expire or soon will, budget counters
-- that nobody uses any more, a top-up that is asked for again. In the order of time.
--! include lib/hold_details.lua
--! include lib/overage.lua

-- Members of what is due: hID a hold (its deadline, then the end of its late window), gID a grant (its next edge), eID a
-- grant that will expire, bID a counter (the end of its life), tUNIT a top-up that is asked for again.

local SWEEP_MAX = 32

-- Its functions are inside, so that a call that finds nothing due does not pay for making them (a tenth of a hold).
local function sweep_items(due, limit)
--! include lib/posting.lua
--! include lib/new_grant.lua

  local function time_out(hold, at_ms)
    hold_details(hold)
    local w = wallet_of(hold.unit)
    local base = held_base(hold)
    local final = base
    if hold.on_timeout == 'release' then final = 0 end
    if hold.on_timeout == 'known' then final = math.min(base, math.max(hold.floor, hold.known)) end
    local transfers = {}
    local held = slices_total(hold.slices) + hold.over
    local drawn, over = end_hold(w, hold, final, transfers)
    local counted = ''
    if hold.budgets ~= '' then
      local calls = budget_functions().further()
      counted = calls.finish(hold, calls.timed_out(hold))
    end
    add_total(w, 'posted', charged_by(drawn, over, 0))
    hold.state, hold.slices, hold.over_base, hold.over = 't', drawn, over.base, over.amount
    -- A late end gives back where this went, though the period of the hold was closed before.
    hold.policy = pack_policy(hold.policy, policy_now(w.unit, hold.policy))
    holds_changed[hold.id] = true
    due_changes['h' .. hold.id] = at_ms + hold.late_ms
    account.timeouts = (account.timeouts or 0) + 1
    local extra = 'hold=' .. text_of(held) .. counted
    -- A multiplier hides what was posted at price, which an operator's charge goes on from.
    if over.base ~= over.amount then extra = extra .. ';at_price=' .. text_of(slices_total(drawn) + over.base) end
    add_entry('timeout', at_ms, hold.id, '', w, transfers, extra, '')
  end

  local function sweep_hold(id, at_ms)
    local hold = find_hold(id)
    if hold and hold.state == 'o' then return time_out(hold, at_ms) end
    -- The late window is over: nothing more can come for this id.
    holds[id] = false
    holds_changed[id] = true
    due_changes['h' .. id] = false
  end

  -- What an allowance leaves to the next period: "percent_millionths:min:max:until:head:id".
  local function roll_over(w, grant, rest)
    local _, _, rollover = terms_of(grant)
    local percent, least, most, ends, head, id = match(rollover, '^(%d+):(%d+):(%d+):(%d+):([^:]*):(%w+)$')
    -- What would have ended by now as well was never of use: any call since would have swept it into being.
    if not percent or integer(ends) <= math.max(grant.expires_at, now) then return end
    local part = multiply(rest, integer(percent))
    local amount = math.min(integer(most), math.max(integer(least), part))
    if amount == 0 or live_total(w) + amount > ATOMS_MAX then return end
    local facts = '{"scale":' .. w.scale .. ',"funding":"promotional","priority":' .. tonumber(sub(head, 1, 4))
      .. ',"repaysDebt":false,"labels":{"rollover_of":"' .. grant.id .. '"}}'
    create_grant(w, id, amount, grant.expires_at, integer(ends), head, 'g', '0', '', facts)
    local transfers = {}
    transfer(transfers, 'fund:promotional', 'grant:' .. id, amount)
    local extra = 'grant=' .. id .. ';scope=g;effective=' .. text_of(grant.expires_at) .. ';expires=' .. ends
    add_entry('allowance', grant.expires_at, grant.id, '', w, transfers, extra .. ';rollover=1', facts)
  end

  local function expire(w, grant)
    due_changes['g' .. grant.id] = false
    if grant.state ~= 'u' and grant.state ~= 'p' then return end
    local rest, transfers = grant.free, {}
    change_free(w, grant, -rest)
    if grant.state == 'u' then
      order_changes[grant.member] = false
      w.pinned = w.pinned - grant.held
    end
    grant.state = 'x'
    grant.expired = grant.expired + rest
    if rest + grant.held > 0 then
      add_total(w, 'expired', rest)
      transfer(transfers, 'grant:' .. grant.id, 'expired', rest)
      add_entry('expire', grant.expires_at, grant.id, '', w, transfers, 'grant=' .. grant.id, '')
    end
    roll_over(w, grant, rest)
  end

  local function activate(w, grant)
    local transfers = {}
    -- Where the wallet is watched the ledger says what the money made of it.
    if become_usable(w, grant, transfers) > 0 or w.watch then
      add_entry('grant', grant.effective_at, grant.id, '', w, transfers, 'grant=' .. grant.id .. ';activated=1', '')
    end
  end

  local function tell_expiring(id, at_ms)
    due_changes['e' .. id] = false
    load_grants({ id })
    local grant = grant_details(grants[id])
    local left = grant.free + grant.held
    if grant.state ~= 'u' or left == 0 then return end
    local extra = 'grant=' .. id .. ';left=' .. text_of(left) .. ';expires=' .. text_of(grant.expires_at)
    event_functions().add('grant.expiring', wallet_of(grant.unit), extra, at_ms)
  end

  local function sweep_grant(id)
    load_grants({ id })
    local grant = grant_details(grants[id])
    local w = wallet_of(grant.unit)
    if grant.state == 'p' and is_paid_enough(grant) then
      activate(w, grant)
    elseif grant.expires_at and grant.expires_at <= now then
      expire(w, grant)
    end
  end

  -- What an item makes due again takes its own place in time; beyond a full batch the next one finds it.
  local function insert_again(items, from, member, full)
    local score = due_changes[member]
    if not score or score > now then return end
    local at = from
    while at <= #items and (items[at].score < score or (items[at].score == score and items[at].member < member)) do
      at = at + 1
    end
    if full and at > #items then return end
    table.insert(items, at, { member = member, score = score })
  end

  local items = {}
  for i = 1, #due, 2 do
    items[#items + 1] = { member = due[i], score = due[i + 1] + 0 }
  end
  -- Never of a read, which takes all: its limit is -1.
  local full, next_item = #items == limit, 1
  while next_item <= #items do
    local member, score = items[next_item].member, items[next_item].score
    local kind, id = sub(member, 1, 1), sub(member, 2)
    if kind == 'h' then
      sweep_hold(id, score)
    elseif kind == 'b' then
      budget_functions().further().retire(id)
    elseif kind == 'e' then
      tell_expiring(id, score)
    elseif kind == 't' then
      due_changes[member] = false
      wallet_of(id).top_up_due = true
    else
      sweep_grant(id)
    end
    next_item = next_item + 1
    insert_again(items, next_item, member, full)
  end
end

-- Takes what is due, at most `limit` items (-1: all, for reads). Answers how many there were, and whether there are more.
local function sweep_due(limit)
  local due = call('ZRANGEBYSCORE', KEYS[4], '-inf', text_of(now), 'WITHSCORES', 'LIMIT', 0, limit)
  if #due == 0 then return 0, false end
  sweep_items(due, limit)
  -- What the items of a batch that is not full make due again was swept with them.
  return #due / 2, #due == 2 * limit
end

-- For scripts that write: one batch, written at once. True where more is due: the caller answers sweep_again.
local function sweep_and_commit()
  local swept, more = sweep_due(SWEEP_MAX)
  if swept > 0 then
    commit()
    for _, w in pairs(wallets) do
      w.had, w.owed = w.available + w.scoped + w.pinned, w.debt
      w.funded, w.last_entry = nil, nil
    end
  end
  return more
end
