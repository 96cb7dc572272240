#!lua flags=no-writes
--[[
One page of the ledger, oldest first. Nothing is written.

KEYS[1]  ledger  stream  <seq>-0

ARGV[1]  from_seq  inclusive
ARGV[2]  limit     entries read, whether or not they are of the type
ARGV[3]  type      '' for all

Returns {first_seq_read, last_seq_read, seq, entry, info, seq, …}; the first two are '' where there was nothing to read.
A first_seq_read beyond from_seq: what is between was exported and trimmed.
]]

local read = redis.call('XRANGE', KEYS[1], ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])
local reply = { '', '' }
for i = 1, #read do
  local seq = string.match(read[i][1], '^(%d+)-')
  local fields = read[i][2]
  if i == 1 then reply[1] = seq end
  reply[2] = seq
  if ARGV[3] == '' or string.sub(fields[2], 1, #ARGV[3] + 1) == ARGV[3] .. '|' then
    reply[#reply + 1] = seq
    reply[#reply + 1] = fields[2]
    reply[#reply + 1] = fields[4]
  end
end
return reply
