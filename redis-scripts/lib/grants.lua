-- Grants: records, which of them a call may draw on, and what moves in and out of them.
--! include lib/account.lua

local GRANTS_DRAWN_MAX = 64

-- state: p(ending: not yet effective or not paid), u(sable), x (expired), v(oided), c(lawed back). scope: g(eneral), s(coped: applies_to). `tail` is read on demand.
local function read_grant(id, record)
  local free, held, consumed, state, scope, tail_at = match(record, '^1|(%d+)|(%d+)|(%d+)|([puxvc])|([gs])|()')
  if not free then error('grant record of an unknown form: ' .. id) end
  local grant = {
    id = id, free = free + 0, held = held + 0, consumed = consumed + 0, state = state, scope = scope,
    tail = sub(record, tail_at),
  }
  grants[id] = grant
  return grant
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
  local records = call('HMGET', KEYS[2], unpack(missing))
  for i = 1, #missing do
    if records[i] then read_grant(missing[i], records[i]) end
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

--[[
The grants that a call may draw on, in drawdown order, until their free parts cover `enough` or 64 are found; then what
is free in them and what open holds pin in the ones seen. facts_text nil: all grants of the unit, without the limit.
]]
local function eligible_grants(unit, facts_text, enough)
  local found, free, held = {}, 0, 0
  local applies
  -- Most calls are covered by the first grant.
  local from, page = '[' .. unit .. ':', 1
  while true do
    local members = call('ZRANGEBYLEX', KEYS[3], from, '(' .. unit .. ';', 'LIMIT', 0, page)
    local ids = {}
    for i = 1, #members do
      ids[i] = sub(members[i], -26)
    end
    load_grants(ids)
    for i = 1, #ids do
      local grant = grants[ids[i]]
      if grant.scope == 's' and facts_text and not applies then
--! include lib/scope.lua
        applies = scope_matcher(facts_text)
      end
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
    from, page = '(' .. members[#members], page == 1 and 8 or 64
  end
end
