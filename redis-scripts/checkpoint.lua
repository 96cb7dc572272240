#!lua flags=allow-oom
--[[
Says how much an open call is known to have used, renews its deadline and, where asked, holds its next slice.

KEYS[1]  account   hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]  grants    hash    grant id -> record; i:ID -> facts
KEYS[3]  order     zset    usable grants in drawdown order
KEYS[4]  due       zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds     hash    hold id -> record
KEYS[6]  ledger    stream  <seq>-0
KEYS[7]  budgets   hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events    zset    sequences of ledger events not yet handed over
KEYS[9]  refusals  stream  bounded

ARGV[1]  hold_id
ARGV[2]  number            1, 2, 3 … of this hold: with the id it is the operation id
ARGV[3]  cumulative_atoms  known to be used, in all; a lower one than before changes nothing
ARGV[4]  deadline_ms       from now
ARGV[5]  extend            1: hold the next slice
ARGV[6]  per_token_atoms   of the slice
ARGV[7]  least_tokens      of the slice
ARGV[8]  want_tokens       of the slice
ARGV[9]  amounts           MEASURE=known,per_token;… of what budgets measure beside the wallet's unit

Returns {status, tokens, held, available} or {status, needed, available, rule}; status, in order of precedence:
  conflict             this number was used with other arguments, or a later number was taken before
  sweep_again          more is due than one call sweeps: repeat
  hold_not_open        no such hold, or it has its end
  out_of_range         an amount beyond 2^53-1
  held_by_open_calls   the slice would fit if what open holds have came back; nothing was changed
  insufficient_funds   the slice does not fit; nothing was changed
  budget_exceeded      the slice does not fit into the budget that rule names; nothing was changed
  checkpointed         tokens: what the slice pays for; held: by the whole hold (a retry answers the same)
]]
--! include lib/sweep.lua
--! include lib/refusals.lua

local id, number = ARGV[1], integer(ARGV[2])
local arguments = ARGV[3] .. ',' .. ARGV[4] .. ',' .. ARGV[5] .. ',' .. ARGV[6] .. ',' .. ARGV[7] .. ',' .. ARGV[8]
  .. ',' .. string.gsub(ARGV[9], ';', ',')

local function answered(hold)
  local last, last_arguments, answer = match(hold.checkpoint, '^(%d+);([^;]*);(.*)$')
  if not last or tonumber(last) < number then return nil end
  if tonumber(last) > number or last_arguments ~= arguments then return { 'conflict', '0', '0' } end
  local tokens, held, available = match(answer, '^(%d+);(%d+);(%d+)$')
  return { 'checkpointed', tokens, held, available }
end

local function refuse(status, needed, available, rule)
  count_refusal(KEYS[9], 'checkpoint', id, status, text_of(needed), text_of(available), rule)
  return { status, text_of(needed), text_of(available), rule or '' }
end

-- What this hold itself pins in grants that are still usable: it does not come back while the call goes on.
local function usable_part(slices)
  grants_of_slices(slices)
  local total = 0
  for i = 1, #slices do
    if grants[slices[i].id].state == 'u' then total = total + slices[i].amount end
  end
  return total
end

-- What a token costs, and what is known to be used, by the measures of budgets.
local function budget_amounts(w, each)
  local each_of, known_of = { [w.unit] = each }, { [w.unit] = integer(ARGV[3]) }
  for measure, known, per_token in string.gmatch(ARGV[9], '([^=;]+)=(%d+),(%d+)') do
    each_of[measure], known_of[measure] = integer(per_token), integer(known)
  end
  return each_of, known_of
end

-- Holds the next slice; answers a refusal or the tokens, and what the ledger says of it.
local function extend(w, hold)
  local per_token, least, want = integer(ARGV[6]), integer(ARGV[7]), integer(ARGV[8])
  local enforced = read_policy(hold.policy)
  local policy = enforced.observe and observed(enforced) or enforced
  local calls = hold.budgets ~= '' and budget_functions().further()
  local base_before = held_base(hold)
  if base_before + per_token * want > ATOMS_MAX then return refuse('out_of_range', 0, 0) end
  local found, free, pinned = eligible_grants(w.unit, hold.facts, per_token * want)
  local room = overage_room(w, policy)
  local funds = math.min(ATOMS_MAX, free + room)
  local tokens = want
  if per_token * want > funds then tokens = math.floor(funds / per_token) end
  local by_wallet = tokens
  local list, each_of, known_of
  if hold.budgets ~= '' then
    each_of, known_of = budget_amounts(w, per_token)
    local allowed, tightest, only_held
    list, allowed, tightest, only_held = calls.room_to_extend(hold, each_of, want, least)
    if by_wallet >= least and allowed < least and not policy.observe then
      local status = only_held and 'held_by_open_calls' or 'budget_exceeded'
      return refuse(status, each_of[tightest.measure] * least, each_of[tightest.measure] * allowed, tightest.field)
    end
    if not policy.observe then tokens = math.min(tokens, allowed) end
  end
  if tokens < least then
    local others_back = free + pinned - usable_part(hold.slices) + overage_room(w, policy, hold.over)
    local status = per_token * least <= others_back and 'held_by_open_calls' or 'insufficient_funds'
    return refuse(status, per_token * least, funds)
  end
  local amount = per_token * tokens
  local more_base = math.max(0, amount - free)
  local over = multiply_up(hold.over_base + more_base, policy.multiplier)
  if not hold_in_range(w, amount - more_base + over - hold.over)
    or (list and not calls.extend_in_range(list, each_of, tokens)) then
    return refuse('out_of_range', amount, funds)
  end
  local slices = pin(w, found, amount - more_base)
  local more_over = over - hold.over
  hold_overage(w, policy, more_over)
  hold.over_base, hold.over = hold.over_base + more_base, over
  local extra = ';slices=' .. pack_slices(slices)
  for i = 1, #slices do
    -- A stream of many slices draws on one grant over and over: one part for it, or the record grows with the stream.
    local last = hold.slices[#hold.slices]
    if last and last.id == slices[i].id then
      last.amount = last.amount + slices[i].amount
    else
      hold.slices[#hold.slices + 1] = slices[i]
    end
  end
  if more_over > 0 then extra = extra .. ';over=' .. over_account(policy) .. '=' .. text_of(more_over) end
  if list then extra = extra .. calls.extend(hold, list, each_of, tokens, known_of) end
  return nil, tokens, extra
end

local function checkpoint()
  open_account('')
  local hold = find_hold(id)
  local before = hold and hold.state == 'o' and answered(hold_details(hold))
  if before then return before end
  if sweep_and_commit() then return { 'sweep_again', '0', '0' } end
  hold = find_hold(id)
  if not hold or hold.state ~= 'o' then return { 'hold_not_open', '0', '0' } end

  local w = wallet_of(hold.unit)
  local refusal, tokens, extra = nil, 0, ''
  if ARGV[5] == '1' then
    refusal, tokens, extra = extend(w, hold)
    if refusal then return refusal end
  elseif hold.budgets ~= '' then
    local each_of, known_of = budget_amounts(w, 0)
    local calls = budget_functions().further()
    local list = calls.room_to_extend(hold, {}, 0)
    calls.extend(hold, list, {}, 0, known_of)
  end
  hold.known = math.max(hold.known, integer(ARGV[3]))
  hold.deadline = text_of(now + integer(ARGV[4]))
  due_changes['h' .. id] = hold.deadline + 0
  holds_changed[id] = true
  local held, available = text_of(slices_total(hold.slices) + hold.over), text_of(w.available)
  hold.checkpoint = text_of(number) .. ';' .. arguments .. ';' .. text_of(tokens) .. ';' .. held .. ';' .. available
  add_entry('checkpoint', now, id, '', w, {}, 'number=' .. text_of(number) .. ';known=' .. text_of(hold.known) .. extra, '')
  commit()
  return { 'checkpointed', text_of(tokens), held, available }
end

return tell(checkpoint())
