-- The arguments that matter, in sixteen hex digits: enough to tell two uses of one id apart.
local function fingerprint_of(...)
  return string.sub(redis.sha1hex(table.concat({ ... }, '\t')), 1, 16)
end
