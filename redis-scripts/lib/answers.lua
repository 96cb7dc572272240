-- What an id was answered before, from its operation record and the ledger.
--! include lib/account.lua

--[[
kind: s(ettled), v(oided), a(bsent: closed before any hold), r (orphan settled), u(nmatched).
The answers are in the ledger, at the sequence of the hold and of its end; of a void `ended` is what it released.
]]
local function read_record(record)
  local kind, fingerprint, hold_seq, final, ended = match(record, '^([svaru])|(%x*)|(%d*)|([^|]*)|(%d*)$')
  if not kind then error('operation record of an unknown form') end
  return { kind = kind, fingerprint = fingerprint, hold_seq = hold_seq, final = final, ended = ended }
end

-- An entry as it was written, for the answer to a retry: {from_ledger, seq, packed, info}; {from_ledger, seq} where it
-- was exported and trimmed: the caller reads it there.
local function answer_from_ledger(seq)
  local id = seq .. '-0'
  local found = call('XRANGE', KEYS[6], id, id)
  if not found[1] then return { 'from_ledger', seq } end
  return { 'from_ledger', seq, found[1][2][2], found[1][2][4] }
end
