#!lua
--[[
Adds an account to those that no file has.

KEYS[1]  records    hash    account id -> record
KEYS[2]  ids        zset    account ids, score 0
KEYS[3]  operation  string  35 days

ARGV[1]  account
ARGV[2]  record
ARGV[3]  fingerprint  of the request; '' where it cannot be sent again

Returns {status}; status, in order of precedence:
  replay    this operation made it before
  conflict  the operation id was used with other arguments
  exists    there is an account of that id, perhaps a closed one
  created
]]
--! include lib/accounts.lua

local before = repeated(KEYS[3], ARGV[3])
if before then
  return { before }
end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return { 'exists' }
end
tell('account', ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
remember(KEYS[3], ARGV[3])
return { 'created' }
