#!lua flags=allow-oom
--[[
Puts another record in the place of a virtual key's, unless somebody else did meanwhile.

KEYS[1]  keys  hash  sha256 -> account and record

ARGV[1]  sha256
ARGV[2]  expected  account and record, as they were read
ARGV[3]  value     account and record

Returns {status}; status, in order of precedence:
  unknown_key
  changed  it is another record than expected: read it again
  done
]]
--! include lib/accounts.lua

local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then
  return { 'unknown_key' }
end
if kept ~= ARGV[2] then
  return { 'changed' }
end
tell('key', ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return { 'done' }
