-- Operations of the admin API: one record each, since a client's Idempotency-Key carries no time.
--! include lib/sweep.lua
--! include lib/fingerprint.lua

local OPERATION_MS = 3024000000 -- 35 days
local REFUSED_MS = 60000

-- The answer that this operation got before: {status, replay, …}, or nil. Fields of an answer are separated by tabs.
local function answered(fingerprint)
  local record = call('GET', KEYS[9])
  if not record then return nil end
  local before, answer = match(record, '^(%x+)\t(.*)$')
  if before ~= fingerprint then return { 'conflict', '0' } end
  local fields = {}
  for field in string.gmatch(answer .. '\t', '([^\t]*)\t') do
    fields[#fields + 1] = field
  end
  table.insert(fields, 2, '1')
  return fields
end

local function too_old(operation_ms)
  return operation_ms ~= '' and now - integer(operation_ms) > OPERATION_MS
end

-- Keeps the answer: of what was done for 35 days, of a refusal for a minute.
local function remember(fingerprint, answer)
  local life_ms = answer[1] == 'done' and OPERATION_MS or REFUSED_MS
  call('SET', KEYS[9], fingerprint .. '\t' .. concat(answer, '\t'), 'PX', text_of(life_ms))
  table.insert(answer, 2, '0')
  return answer
end
