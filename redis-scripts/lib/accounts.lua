--[[ The list of accounts and virtual keys that are kept in Redis, beside the wallets. ]]

-- Each gateway process listens: what it remembers of an account or a key is dropped at once.
local CHANGES = 'tg:accounts'
local REPEAT_MS = 3024000000

-- Before the first write: a user that may not publish must not leave half a change.
local function tell(kind, name)
  redis.call('PUBLISH', CHANGES, kind .. ' ' .. name)
end

-- Whether this POST was made before: nil, `replay`, or `conflict`. An empty fingerprint: it cannot be sent again.
local function repeated(operation, fingerprint)
  if fingerprint == '' then
    return nil
  end
  local before = redis.call('GET', operation)
  if not before then
    return nil
  end
  return before == fingerprint and 'replay' or 'conflict'
end

local function remember(operation, fingerprint)
  if fingerprint ~= '' then
    redis.call('SET', operation, fingerprint, 'PX', REPEAT_MS)
  end
end
