-- Taking back a grant whose money was taken back.
--! include lib/posting.lua

-- The free part first, then what was consumed; `whole`: nothing of it is usable any more, whatever open holds release.
local function claw_back(w, grant, amount, whole, transfers)
  local free = math.min(amount, grant.free)
  change_free(w, grant, -free)
  grant.voided = grant.voided + free
  add_total(w, 'expired', free)
  transfer(transfers, 'grant:' .. grant.id, 'voided', free)
  claw_consumed(w, grant, amount - free, transfers)
  if not whole then
    keep_in_order(grant)
    return
  end
  if grant.state == 'u' then
    w.pinned = w.pinned - grant.held
    order_changes[grant.member] = false
  end
  due_changes['g' .. grant.id], due_changes['e' .. grant.id] = false, false
  grant.state = 'c'
  if grant.voided_at == '' then grant.voided_at = text_of(now) end
end
