#!lua flags=no-writes
--[[
Finds a virtual key by the SHA-256 of its secret, and the account that it belongs to, for a caller that no gateway
remembers.

KEYS[1]  records  hash  account id -> record
KEYS[2]  keys     hash  sha256 -> account and record

ARGV[1]  sha256

Returns {} for a key that is not there, else {account and record of the key, record of the account}; the second is ''
where the account is none of Redis.
]]

local value = redis.call('HGET', KEYS[2], ARGV[1])
if not value then
  return {}
end
return { value, redis.call('HGET', KEYS[1], string.match(value, '^%S+') or '') or '' }
