-- Redis time in milliseconds, read once a script; `last_ms` is the account's latest, below which it never falls.
local function read_time(last_ms)
  local time = redis.call('TIME')
  return math.max(last_ms, time[1] * 1000 + math.floor(time[2] / 1000))
end
