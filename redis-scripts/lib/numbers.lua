-- Whole numbers in and out. A double keeps them exactly up to 2^53-1; beyond that nothing is read or written.

-- Looked up once a script: a name in a table of Lua's costs as much as a short function.
local call, format, match, find, sub, concat =
  redis.call, string.format, string.match, string.find, string.sub, table.concat

local ATOMS_MAX = 9007199254740991

-- A number from an argument. Arithmetic alone would take "nan", "0x10" and "1e3"; + 0 turns -0 into 0.
local function integer(text)
  if not find(text, '^-?%d+$') then error('not a whole number: ' .. text) end
  local number = text + 0
  if number > ATOMS_MAX or number < -ATOMS_MAX then error('out_of_range: ' .. text) end
  return number
end

-- Numbers as text, each printed once: a dozen places print the time, or what a hold takes.
local texts = { [0] = '0' }

-- The only way a number leaves: `..` and tostring print 1e+14 from 100,000,000,000,000 on.
local function text_of(number)
  local text = texts[number]
  if not text then
    text = format('%.0f', number)
    texts[number] = text
  end
  return text
end
