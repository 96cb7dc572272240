#!lua flags=allow-oom
--[[
Takes the oldest entries out of the ledger: never one that is not in every directory of books, that no snapshot covers, or
that is the last.

KEYS[1]  ledger    stream  <seq>-0
KEYS[2]  exported  hash    id of a directory of books -> the last entry in it and its hash; snapshot -> the entry it is of;
                           trimmed -> the last entry that left the ledger

ARGV[1]  up_to_seq  as far as the caller wants it
ARGV[2]  most       entries at once
ARGV[3]  books      ids of all directories, separated by spaces

Returns {status, trimmed_seq}; status, in order of precedence:
  not_exported  a directory of books, or the snapshot, has nothing of this account yet
  nothing       nothing is old enough, exported and covered
  trimmed       entries up to trimmed_seq have left
]]

local function trim()
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
  local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
  if not first[1] then return { 'nothing', '0' } end
  local first_seq = tonumber(string.match(first[1][1], '^%d+'))
  local up_to = math.min(tonumber(ARGV[1]), tonumber(string.match(last[1][1], '^%d+')) - 1, first_seq + tonumber(ARGV[2]) - 1)
  local covered = redis.call('HGET', KEYS[2], 'snapshot')
  if not covered then return { 'not_exported', '0' } end
  up_to = math.min(up_to, tonumber(covered))
  local books = 0
  for id in string.gmatch(ARGV[3], '%S+') do
    local exported = string.match(redis.call('HGET', KEYS[2], id) or '', '^(%d+) ')
    if not exported then return { 'not_exported', '0' } end
    up_to, books = math.min(up_to, tonumber(exported)), books + 1
  end
  if books == 0 then return { 'not_exported', '0' } end
  if up_to < first_seq then return { 'nothing', '0' } end
  local text = string.format('%.0f', up_to)
  redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f', up_to + 1) .. '-0')
  redis.call('HSET', KEYS[2], 'trimmed', text)
  return { 'trimmed', text }
end

return trim()
