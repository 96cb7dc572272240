-- The arguments that matter, in sixteen hex digits: enough to tell two uses of one id apart.
local function fingerprint_of(...)
  return sub(redis.sha1hex(concat({ ... }, '\t')), 1, 16)
end
