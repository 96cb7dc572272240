-- Refusals: a bounded list for support; no balance depends on it.

local REFUSALS_KEPT = 1000

local function count_refusal(key, operation, id, status, needed, available, rule)
  call('XADD', key, 'MAXLEN', '~', REFUSALS_KEPT, '*',
    'operation', operation, 'id', id, 'status', status, 'needed', needed, 'available', available,
    'rule', rule or '')
end
