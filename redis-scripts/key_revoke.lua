#!lua flags=allow-oom
--[[
Takes a virtual key away: from the end of this script no gateway that listens knows it. Its id cannot be used again for
35 days, so that the late end of a call is never taken for another key's. It goes whatever its record says.

KEYS[1]  keys       hash    sha256 -> account and record
KEYS[2]  key_ids    hash    key id -> sha256
KEYS[3]  key_order  zset    account and key id, score 0
KEYS[4]  revoked    string  its record, 35 days

ARGV[1]  key

Returns {status, account and record}; status, in order of precedence:
  replay       it was revoked before
  unknown_key  nothing follows
  done
]]
--! include lib/accounts.lua

local sha256 = redis.call('HGET', KEYS[2], ARGV[1])
local value = sha256 and redis.call('HGET', KEYS[1], sha256)
if not value then
  local before = redis.call('GET', KEYS[4])
  if before then
    return { 'replay', before }
  end
  return { 'unknown_key' }
end
tell('key', sha256)
redis.call('SET', KEYS[4], value, 'PX', REPEAT_MS)
redis.call('HDEL', KEYS[1], sha256)
redis.call('HDEL', KEYS[2], ARGV[1])
-- A record that another program wrote may name no account: its place in the order then stays, and is listed no more.
local account = string.match(value, '^%S+')
if account then
  redis.call('ZREM', KEYS[3], account .. ' ' .. ARGV[1])
end
return { 'done', value }
