-- Grants: records, which of them a call may draw on, and what moves in and out of them.
--! include lib/account.lua

local GRANTS_DRAWN_MAX = 64

-- state: p(ending: not yet effective or not paid), u(sable), x (expired), v(oided), c(lawed back). scope: g(eneral), s(coped: applies_to). `tail` is read on demand.
local function read_grant(id, record)
  local free, held, consumed, state, scope, tail =
    string.match(record, '^1|(%d+)|(%d+)|(%d+)|([puxvc])|([gs])|(.*)$')
  if not free then error('grant record of an unknown form: ' .. id) end
  return {
    id = id,
    free = number_of(free),
    held = number_of(held),
    consumed = number_of(consumed),
    state = state,
    scope = scope,
    tail = tail,
  }
end

local function pack_grant(grant)
  local head = '1|' .. text_of(grant.free) .. '|' .. text_of(grant.held) .. '|' .. text_of(grant.consumed)
    .. '|' .. grant.state .. '|' .. grant.scope .. '|'
  if grant.tail then return head .. grant.tail end
  return head .. text_of(grant.expired) .. '|' .. text_of(grant.voided) .. '|' .. grant.voided_at
    .. '|' .. grant.created_at .. '|' .. text_of(grant.effective_at)
    .. '|' .. (grant.expires_at and text_of(grant.expires_at) or '') .. '|' .. grant.repays
    .. '|' .. grant.terms .. '|' .. grant.unit .. '|' .. grant.member .. '|' .. grant.filter
end

local function load_grants(ids)
  local missing = {}
  for i = 1, #ids do
    if not grants[ids[i]] then missing[#missing + 1] = ids[i] end
  end
  if #missing == 0 then return end
  local records = redis.call('HMGET', KEYS[2], unpack(missing))
  for i = 1, #missing do
    if records[i] then grants[missing[i]] = read_grant(missing[i], records[i]) end
  end
end

local function change_free(w, grant, amount)
  grant.free = grant.free + amount
  if grant.state == 'p' then
    w.pending = w.pending + amount
  elseif grant.scope == 's' then
    w.scoped = w.scoped + amount
  else
    w.available = w.available + amount
  end
  grants_changed[grant.id] = true
end

-- All that is, or may come back, in grants that live: a number of Redis's own, whatever is held or released.
local function live_total(w)
  return w.available + w.scoped + w.pinned + w.pending
end

-- Whether a scoped grant applies to a call. Made on demand: few wallets have scoped grants.
local function scope_matcher(facts_text)
  -- Linear glob: `*` is any run of characters, everything else itself.
  local function glob_matches(pattern, text)
    local p, t, star, mark = 1, 1, nil, nil
    while t <= #text do
      local c = string.sub(pattern, p, p)
      if c == '*' then
        star, mark = p, t
        p = p + 1
      elseif c ~= '' and c == string.sub(text, t, t) then
        p, t = p + 1, t + 1
      elseif star then
        mark = mark + 1
        p, t = star + 1, mark
      else
        return false
      end
    end
    while string.sub(pattern, p, p) == '*' do
      p = p + 1
    end
    return p > #pattern
  end

  -- Facts of a call: model;upstream;endpoint;key;run;user;label=value,… each percent-encoded by the caller.
  local function read_facts(text)
    local model, upstream, endpoint, labels = string.match(text, '^([^;]*);([^;]*);([^;]*);[^;]*;[^;]*;[^;]*;(.*)$')
    if not model then error('facts of an unknown form') end
    return { m = model, u = upstream, e = endpoint, labels = ',' .. labels .. ',' }
  end

  local function filter_of(grant)
    return grant.filter or string.match(grant.tail, '|([^|]*)$')
  end

  -- Filter of a grant: m=glob,glob;u=glob;e=glob;l=label=value,…: any glob of each, and every label.
  local function applies(grant, facts)
    for name, list in string.gmatch(filter_of(grant), '([muel])=([^;]*)') do
      local any = name == 'l'
      for item in string.gmatch(list, '[^,]+') do
        if name == 'l' then
          any = any and string.find(facts.labels, ',' .. item .. ',', 1, true) ~= nil
        else
          any = any or glob_matches(item, facts[name])
        end
      end
      if not any then return false end
    end
    return true
  end

  local facts = read_facts(facts_text)
  return function(grant)
    return applies(grant, facts)
  end
end

--[[
The grants that a call may draw on, in drawdown order, until their free parts cover `enough` or 64 are found; then what
is free in them and what open holds pin in the ones seen. facts_text nil: all grants of the unit, without the limit.
]]
local function eligible_grants(unit, facts_text, enough)
  local found, free, held = {}, 0, 0
  local applies
  local from, page = '[' .. unit .. ':', 8
  while true do
    local members = redis.call('ZRANGEBYLEX', KEYS[3], from, '(' .. unit .. ';', 'LIMIT', 0, page)
    local ids = {}
    for i = 1, #members do
      ids[i] = string.sub(members[i], -26)
    end
    local records = #ids > 0 and redis.call('HMGET', KEYS[2], unpack(ids))
    for i = 1, #ids do
      local grant = grants[ids[i]] or read_grant(ids[i], records[i])
      grants[ids[i]] = grant
      if grant.scope == 's' and facts_text and not applies then applies = scope_matcher(facts_text) end
      if grant.scope == 'g' or not facts_text or applies(grant) then
        held = held + grant.held
        if grant.free > 0 then
          found[#found + 1] = grant
          free = free + grant.free
          if free >= enough or (facts_text and #found == GRANTS_DRAWN_MAX) then return found, free, held end
        end
      end
    end
    if #members < page then return found, free, held end
    from, page = '(' .. members[#members], 64
  end
end
