-- A library.
local stray = ARGV[9]
