#!lua
--[[
Adds a virtual key, known by the SHA-256 of its secret.

KEYS[1]  records    hash    account id -> record
KEYS[2]  keys       hash    sha256 -> account and record
KEYS[3]  key_ids    hash    key id -> sha256
KEYS[4]  key_order  zset    account and key id, score 0
KEYS[5]  revoked    string  record of a key of this id that was revoked
KEYS[6]  operation  string  35 days

ARGV[1]  key
ARGV[2]  sha256
ARGV[3]  account
ARGV[4]  in_files     1: the files have the account
ARGV[5]  record
ARGV[6]  fingerprint  of the request; '' where it cannot be sent again

Returns {status}; status, in order of precedence:
  replay           this operation made it before
  conflict         the operation id was used with other arguments
  unknown_account
  exists           there is a key of that id
  revoked          there was one, revoked less than 35 days ago
  created
]]
--! include lib/accounts.lua

local before = repeated(KEYS[6], ARGV[6])
if before then
  return { before }
end
if ARGV[4] ~= '1' and redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then
  return { 'unknown_account' }
end
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then
  return { 'exists' }
end
if redis.call('EXISTS', KEYS[5]) == 1 then
  return { 'revoked' }
end
tell('key', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. ARGV[5])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[4], 0, ARGV[3] .. ' ' .. ARGV[1])
remember(KEYS[6], ARGV[6])
return { 'created' }
