-- Operation records of calls: what an id was answered, for as long as it is not told by its time to be too old.
--! include lib/account.lua
--! include lib/fingerprint.lua

local RECORDS_MS = 3600000
local BUCKET_MS = 600000

-- kind: s(ettled), v(oided), a(bsent: closed before any hold), r (orphan settled), u(nmatched).
local function read_record(record)
  local kind, fingerprint, answer, final, ended = string.match(record, '^([svaru])|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if not kind then error('operation record of an unknown form') end
  return { kind = kind, fingerprint = fingerprint, answer = answer, final = final, ended = ended }
end

-- Kept an hour from now, and until the id itself is older than that: a bucket has the ids of ten minutes.
local function remember_end(id, id_ms, kind, hold, final, ended)
  local fingerprint, answer = '', ''
  if hold then
    fingerprint, answer = hold.fingerprint, hold.answer
  end
  redis.call('HSET', KEYS[7], id, kind .. '|' .. fingerprint .. '|' .. answer .. '|' .. final .. '|' .. ended)
  redis.call('PEXPIREAT', KEYS[7], text_of(math.max(now, id_ms + BUCKET_MS) + RECORDS_MS))
end
