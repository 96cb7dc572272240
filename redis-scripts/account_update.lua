#!lua flags=allow-oom
--[[
Puts another record in the place of an account's, unless somebody else did meanwhile.

KEYS[1]  records  hash  account id -> record

ARGV[1]  account
ARGV[2]  expected  the record as it was read
ARGV[3]  record

Returns {status}; status, in order of precedence:
  unknown_account
  changed  it is another record than expected: read it again
  done
]]
--! include lib/accounts.lua

local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then
  return { 'unknown_account' }
end
if kept ~= ARGV[2] then
  return { 'changed' }
end
tell('account', ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return { 'done' }
