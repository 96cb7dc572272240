#!lua
--[[
Reserves the ceiling of a call before it is sent, so that concurrent calls cannot spend the same money twice: the largest
whole number of output tokens in [least, want] that usable grants and the policy's overage pay for. First phase;
settle.lua, void.lua or the timeout is the second.

KEYS[1]   account     hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD
KEYS[2]   grants      hash    grant id -> record; i:ID -> facts
KEYS[3]   order       zset    usable grants in drawdown order
KEYS[4]   due         zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]   holds       hash    hold id -> record
KEYS[6]   ledger      stream  <seq>-0
KEYS[7]   budgets     hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]   events      zset    sequences of ledger events not yet handed over
KEYS[9]   operations  hash    ends of the calls whose ids fall in ten minutes
KEYS[10]  refusals    stream  bounded
KEYS[11]  denials     hash    refused holds whose ids fall in one minute

ARGV[1]   hold_id        operation id: a retry sends the same one
ARGV[2]   fingerprint    of all that follows but dry_run, info and alerts: it tells two uses of one id apart
ARGV[3]   numbers        id_ms (the time in the id),scale (decimals of the unit),fixed_atoms,per_token_atoms,least_tokens,
                         want_tokens,total_tokens (0 <= least <= want <= total),deadline_ms (from now)
ARGV[4]   unit
ARGV[5]   policy         mode,limit_atoms,multiplier_millionths,period,observe
ARGV[6]   facts          model;upstream;endpoint;key;run;user;labels
ARGV[7]   timeout        floor_atoms (certainly spent once the call is sent)|0|what a timeout posts: known, release or full,
                         followed by ,late_window_ms where the call's own end counts for longer than a day after it
ARGV[8]   price_version
ARGV[9]   dry_run        1: decide and answer, write nothing
ARGV[10]  info           JSON for the ledger
ARGV[11]  budgets        what the call counts against, a line each (lib/budgets.lua); '' for none
ARGV[12]  amounts        fixed,per_token,floor;… of what budgets measure beside the wallet's unit
ARGV[13]  alerts         what the plan watches the wallet for (lib/events.lua); '' for nothing

Returns {status, replay, …}; status, in order of precedence:
  from_ledger          held before with the same arguments: seq, entry, info of the hold's ledger entry (seq alone: trimmed)
  conflict             this id was used with other arguments
  id_closed            an end for this id came before the hold
  sweep_again          more is due than one call sweeps: repeat
  sweep_first          a dry run, which writes nothing, while something is due: sweep, then repeat
  id_too_old           its records are gone: nobody could tell a retry
  frozen               no hold while the account is frozen
  stopped              the run, user, key or request was stopped by hand; rule: which
  too_many_holds       10,000 are open
  out_of_range         an amount beyond 2^53-1
  too_many_values      rule: a budget that makes one counter for each value has as many as it may
  insufficient_funds   needed, available
  budget_exceeded      needed, available of the budget named by rule; resets_at
  held_by_open_calls   needed, available (of the wallet, or of the budget named by rule): it would fit if what open
                       holds have came back
  held                 seq;tokens;payable_tokens;held;over_mode;over;available;would;exceeded (names of budgets that flag)

Of a refusal: {status, replay, needed, available, rule, resets_at}; rule is the FIELD of a budget's counter.

A refusal changes nothing but the denial's record, the list of refusals, and what time had decided; the first one for want
of money, or of a budget in its window, writes an event too.
Invariants: held of the wallet = sum of open holds = their slices and overage; slices are a prefix of the order.
]]
--! include lib/holds.lua

-- The policy of most wallets: nothing goes beyond the grants.
local PLAIN_POLICY = 'block,0,1000000,,0'
local OPEN_HOLDS_MAX = 10000

local id, unit, dry_run = ARGV[1], ARGV[4], ARGV[9] == '1'
local id_ms, scale, fixed, per_token, least, want, total, deadline_ms =
  match(ARGV[3], '^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+)$')
local floor = match(ARGV[7], '^(%d+)|0|%l+,?%d*$')
if not id_ms or not floor then error('not whole numbers: ' .. ARGV[3] .. ' ' .. ARGV[7]) end
scale, fixed, per_token, least, want, total = scale + 0, fixed + 0, per_token + 0, least + 0, want + 0, total + 0
if math.max(fixed, per_token, total, floor) > ATOMS_MAX then error('out_of_range: ' .. ARGV[3] .. ' ' .. ARGV[7]) end

-- Tokens up to `most` that `funds` pay for beside the fixed part; -1 where they do not even pay for that.
local function affordable(funds, fixed_part, each, most)
  if funds < fixed_part then return -1 end
  if each == 0 then return most end
  return math.min(most, math.floor((funds - fixed_part) / each))
end

-- What few calls need, made on demand: to make a function costs as much as a short command of Redis.
local made
local function rare()
  if made then return made end
--! include lib/sweep.lua
--! include lib/refused_hold.lua
  made = {
    answered = answered, sweep_and_commit = sweep_and_commit, refuse = refuse, refuse_by = refuse_by, stop_of = stop_of,
    refusal_of = refusal_of, would_be = would_be, policy_now = policy_now, pack_policy = pack_policy,
    overage_room = overage_room, observed = observed, multiply_up = multiply_up, hold_overage = hold_overage,
    over_account = over_account,
  }
  return made
end

open_account(unit)
local open = find_hold(id)
local ended, denied = call('HGET', KEYS[9], id), call('HGET', KEYS[11], id)
if open or ended or denied then return tell(rare().answered(open, ended, denied)) end
if #call('ZRANGEBYSCORE', KEYS[4], '-inf', text_of(now), 'LIMIT', 0, 1) > 0 then
  if dry_run then return tell({ 'sweep_first' }) end
  if rare().sweep_and_commit() then return tell({ 'sweep_again' }) end
end

local w = wallet_of(unit)
if w.scale and w.scale ~= scale then error('unit_scale_mismatch: ' .. unit .. ' has ' .. w.scale .. ' decimals') end
w.scale = scale
if now - id_ms > RECORDS_MS then return tell({ 'id_too_old', '0', '0', '0' }) end
if account.frozen then return tell(rare().refuse('frozen', 0, 0)) end
local stop = account.stops > 0 and rare().stop_of()
if stop then return tell(rare().refuse('stopped', 0, 0, stop)) end
if account.open_holds >= OPEN_HOLDS_MAX then return tell(rare().refuse('too_many_holds', 0, 0)) end
local needed = fixed + per_token * least
if needed > ATOMS_MAX then return tell(rare().refuse('out_of_range', 0, 0)) end

-- The wallet and each budget are bounds on the tokens, found before anything is written.
local enforced, room = nil, 0
if ARGV[5] ~= PLAIN_POLICY then
  enforced = rare().policy_now(unit, ARGV[5])
  room = rare().overage_room(w, enforced)
end
local found, free, pinned = eligible_grants(unit, ARGV[6], fixed + per_token * total)
local funds = math.min(ATOMS_MAX, free + room)
local tokens = affordable(funds, fixed, per_token, want)
local payable = total == want and tokens or affordable(funds, fixed, per_token, total)
local by_wallet = tokens < least
local specs, too_many = nil, false
if ARGV[11] ~= '' then
  specs = budget_functions().open(ARGV[11], { fixed, per_token, floor + 0 }, ARGV[12], now)
  for i = 1, #specs do
    local spec = specs[i]
    if spec.fixed + spec.each * least > ATOMS_MAX then return tell(rare().refuse('out_of_range', 0, 0)) end
    if spec.blocks then
      tokens = math.min(tokens, affordable(spec.room, spec.fixed, spec.each, want))
      payable = math.min(payable, affordable(spec.room, spec.fixed, spec.each, total))
      too_many = too_many or spec.is_new
    end
  end
  too_many = too_many and budgets.too_many(specs)
end
local refusal
if tokens < least or too_many then
  refusal = rare().refusal_of(w, enforced, specs, too_many, by_wallet, { free = free, pinned = pinned, funds = funds })
end
local policy, would = enforced, ''
if enforced and enforced.observe then
  would, refusal = rare().would_be(refusal), nil
  policy, tokens, payable = rare().observed(enforced), want, total
end
if refusal then return tell(rare().refuse_by(w, refusal, specs)) end

local amount = fixed + per_token * tokens
local in_range = amount <= ATOMS_MAX
for i = 1, specs and #specs or 0 do
  local spec = specs[i]
  local more = spec.fixed + spec.each * tokens
  -- What calls without a hold came to may already be beyond: what takes nothing of it is in range even so.
  in_range = in_range and (more == 0 or more <= ATOMS_MAX - spec.spent - spec.held)
end
local over_base, over = math.max(0, amount - free), 0
if over_base > 0 then over = rare().multiply_up(over_base, policy.multiplier) end
if not in_range or not hold_in_range(w, amount - over_base + over) then
  return tell(rare().refuse('out_of_range', needed, funds))
end

-- A dry run holds nothing: available stays what it is.
local available = w.available
local slices, sliced = pin(w, found, amount - over_base)
if over > 0 then rare().hold_overage(w, policy, over) end
if not dry_run then available = w.available end
local tokens_text, over_text = text_of(tokens), text_of(over)
local answer = tokens_text .. ';' .. text_of(payable) .. ';' .. text_of(sliced + over) .. ';'
  .. (over > 0 and policy.mode or '') .. ';' .. over_text .. ';' .. text_of(available) .. ';' .. would
if dry_run then return tell({ 'held', '0', '0;' .. answer .. ';' }) end

local kept, counted, exceeded = '', '', nil
if specs then kept, counted, exceeded = budgets.count(specs, tokens) end
account.open_holds = account.open_holds + 1
local now_text, slices_text, seq = text_of(now), pack_slices(slices), text_of(account.seq + 1)
local deadline = text_of(now + deadline_ms)
holds[id] = {
  state = 'o', unit = unit, over_base = over_base, over = over, seq = seq, fingerprint = ARGV[2],
  policy = enforced and rare().pack_policy(ARGV[5], enforced) or ARGV[5], slices_text = slices_text, budgets = kept,
  tail = ARGV[7] .. '|' .. now_text .. '|' .. deadline .. '|' .. ARGV[8] .. '|||' .. ARGV[6],
}
holds_changed[id] = true
due_changes['h' .. id] = deadline + 0
local extra = 'tokens=' .. tokens_text .. ';slices=' .. slices_text
if payable ~= tokens then extra = extra .. ';payable=' .. text_of(payable) end
if over > 0 then extra = extra .. ';over=' .. rare().over_account(policy) .. '=' .. over_text end
if ARGV[8] ~= '' then extra = extra .. ';price=' .. ARGV[8] end
if would ~= '' then extra = extra .. ';would=' .. would end
if w.watch or ARGV[13] ~= '' then event_functions().adopt(w, ARGV[13]) end
add_entry('hold', now, id, '', w, {}, extra .. counted, ARGV[10])
if specs and #budgets.noted > 0 then event_functions().tell_budgets(w) end
commit()
return tell({ 'held', '0', seq .. ';' .. answer .. ';' .. (exceeded and concat(exceeded, ',') or '') })
