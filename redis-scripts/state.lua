#!lua flags=no-writes
--[[
All that is kept of an account, as it is written, and the last sequence of its ledger: what belongs together, read at one
moment. What time has decided since is not swept. Nothing is written.

KEYS[1]  account  hash    account, w:UNIT, t:UNIT, o:UNIT:PERIOD, s:KIND:VALUE, u:SEQ, timeouts, unmatched
KEYS[2]  grants   hash    grant id -> record; i:ID -> facts
KEYS[3]  order    zset    usable grants in drawdown order
KEYS[4]  due      zset    what time decides (lib/sweep.lua): MEMBER -> ms
KEYS[5]  holds    hash    hold id -> record
KEYS[6]  ledger   stream  <seq>-0
KEYS[7]  budgets  hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events   zset    sequences of ledger events not yet handed over
KEYS[9]  refunds  hash    seq of a charge -> what was given back of it
KEYS[10] exported hash    trimmed -> the last entry that left the ledger

ARGV[1]  fields_max  a hash of refunds or budgets beyond it is left out: Redis serves nobody else meanwhile

Returns {first_seq, last_seq, entries, trimmed, then eight lists, each as its length and so many strings}: account, grants, order,
due (members with scores), holds, budgets, refunds, events; length -1: left out.
]]

local first = redis.call('XRANGE', KEYS[6], '-', '+', 'COUNT', 1)
local last = redis.call('XREVRANGE', KEYS[6], '+', '-', 'COUNT', 1)
local reply = {
  first[1] and string.match(first[1][1], '^%d+') or '0',
  last[1] and string.match(last[1][1], '^%d+') or '0',
  tostring(redis.call('XLEN', KEYS[6])),
  redis.call('HGET', KEYS[10], 'trimmed') or '0',
}

local function add(list)
  reply[#reply + 1] = tostring(#list)
  for i = 1, #list do
    reply[#reply + 1] = list[i]
  end
end

local function add_bounded(key)
  if redis.call('HLEN', key) > tonumber(ARGV[1]) then
    reply[#reply + 1] = '-1'
  else
    add(redis.call('HGETALL', key))
  end
end

add(redis.call('HGETALL', KEYS[1]))
add(redis.call('HGETALL', KEYS[2]))
add(redis.call('ZRANGE', KEYS[3], 0, -1))
add(redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'))
add(redis.call('HGETALL', KEYS[5]))
add_bounded(KEYS[7])
add_bounded(KEYS[9])
add(redis.call('ZRANGE', KEYS[8], 0, -1))
return reply
