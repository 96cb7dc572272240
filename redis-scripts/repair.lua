#!lua
--[[
Writes what the ledger proves in place of what differs from it, if nothing has changed since the two were compared. The
entry says what was repaired; no money moves.

KEYS[1]  account   hash    account, w:UNIT, t:UNIT, e:UNIT, o:UNIT:PERIOD, s:KIND:VALUE, u:SEQ, timeouts
KEYS[2]  grants    hash    grant id -> record; i:ID -> facts
KEYS[3]  order     zset    usable grants in drawdown order
KEYS[4]  due       zset    what time decides: hID (deadline), gID (edge), bID (a counter's life)
KEYS[5]  holds     hash    hold id -> record
KEYS[6]  ledger    stream  <seq>-0
KEYS[7]  budgets   hash    c:FIELD -> counter; i:ID -> FIELD; v:GROUP -> how many; next
KEYS[8]  events    zset    sequences of ledger events not yet handed over
KEYS[9]  refunds   hash    seq of a charge -> what was given back of it

ARGV[1]  seq      the last entry of the ledger, up to which it was compared
ARGV[2]  last_ms  the latest time that the account has seen
ARGV[3]  head     the account's record up to its sequence
ARGV[4]  tail     the account's record from behind its latest time on
ARGV[5]  actor
ARGV[6]  info     JSON for the ledger
ARGV[7]  changes  JSON: [[key, field or member, what is there, what is to be there], …]; false where it is nothing

Returns {status, seq}; status, in order of precedence:
  moved     the ledger goes on, or a field is not what it was: compare again; nothing was changed
  repaired  seq: of the entry
]]
--! include lib/time.lua

local keys = { KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9] }
local IS_ZSET = { [3] = true, [4] = true, [8] = true }

local function now_at(key, field)
  if IS_ZSET[key] then
    local score = redis.call('ZSCORE', keys[key], field)
    -- The order is that of its members.
    if score and key == 3 then return '0' end
    return score and string.format('%.0f', tonumber(score)) or false
  end
  return redis.call('HGET', keys[key], field)
end

local function write(key, field, value)
  if IS_ZSET[key] then
    if value then
      redis.call('ZADD', keys[key], value, field)
    else
      redis.call('ZREM', keys[key], field)
    end
  elseif value then
    redis.call('HSET', keys[key], field, value)
  else
    redis.call('HDEL', keys[key], field)
  end
end

local function repair()
  local last = redis.call('XREVRANGE', KEYS[6], '+', '-', 'COUNT', 1)
  if not last[1] or last[1][1] ~= ARGV[1] .. '-0' then return { 'moved', ARGV[1] } end
  local changes = cjson.decode(ARGV[7])
  for i = 1, #changes do
    local change = changes[i]
    if now_at(change[1], change[2]) ~= change[3] then return { 'moved', ARGV[1] } end
  end
  local now = string.format('%.0f', read_time(tonumber(ARGV[2])))
  local seq = string.format('%.0f', tonumber(ARGV[1]) + 1)
  local packed = 'event|' .. now .. '|books.repaired|' .. ARGV[5] .. '||0|||'
  redis.call('XADD', KEYS[6], seq .. '-0', 'e', packed, 'i', ARGV[6])
  for i = 1, #changes do
    write(changes[i][1], changes[i][2], changes[i][4])
  end
  redis.call('HSET', KEYS[1], 'account', ARGV[3] .. seq .. '|' .. now .. ARGV[4])
  return { 'repaired', seq }
end

return repair()
