-- Operation records of calls: what an id was answered, for as long as it is not told by its time to be too old.
--! include lib/account.lua
--! include lib/fingerprint.lua

local RECORDS_MS = 3600000
local BUCKET_MS = 600000

--[[
kind: s(ettled), v(oided), a(bsent: closed before any hold), r (orphan settled), u(nmatched).
The answers are in the ledger, at the sequence of the hold and of its end; of a void `ended` is what it released.
]]
local function read_record(record)
  local kind, fingerprint, hold_seq, final, ended = string.match(record, '^([svaru])|(%x*)|(%d*)|([^|]*)|(%d*)$')
  if not kind then error('operation record of an unknown form') end
  return { kind = kind, fingerprint = fingerprint, hold_seq = hold_seq, final = final, ended = ended }
end

-- Kept an hour from now, and until the id itself is older than that: a bucket has the ids of ten minutes.
local function remember_end(id, id_ms, kind, hold, final, ended)
  local fingerprint, hold_seq = '', ''
  if hold then
    fingerprint, hold_seq = hold.fingerprint, hold.seq
  end
  redis.call('HSET', KEYS[9], id, kind .. '|' .. fingerprint .. '|' .. hold_seq .. '|' .. final .. '|' .. ended)
  redis.call('PEXPIREAT', KEYS[9], text_of(math.max(now, id_ms + BUCKET_MS) + RECORDS_MS))
end
