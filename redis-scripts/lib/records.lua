-- Operation records of calls: what an id was answered, for as long as it is not told by its time to be too old.
--! include lib/account.lua

local BUCKET_MS = 600000

-- Kept an hour from now, and until the id itself is older than that: a bucket has the ids of ten minutes.
local function remember_end(id, id_ms, kind, hold, final, ended)
  local fingerprint, hold_seq = '', ''
  if hold then
    fingerprint, hold_seq = hold.fingerprint, hold.seq
  end
  call('HSET', KEYS[9], id, kind .. '|' .. fingerprint .. '|' .. hold_seq .. '|' .. final .. '|' .. ended)
  call('PEXPIREAT', KEYS[9], text_of(math.max(now, id_ms + BUCKET_MS) + RECORDS_MS))
end
