-- Whole numbers in and out. A double keeps them exactly up to 2^53-1; beyond that nothing is read or written.

local ATOMS_MAX = 9007199254740991

-- A number from an argument or a record. tonumber alone would take "nan", "0x10" and "1e3"; + 0 turns -0 into 0.
local function integer(text)
  if not string.find(text, '^-?%d+$') then error('not a whole number: ' .. text) end
  local number = tonumber(text) + 0
  if number > ATOMS_MAX or number < -ATOMS_MAX then error('out_of_range: ' .. text) end
  return number
end

-- Numbers as text, each printed once: string.format costs more than most commands, and most numbers do not change.
local texts = { [0] = '0' }

-- A number of a record of ours.
local function number_of(text)
  if text == '0' then return 0 end
  local number = tonumber(text)
  texts[number] = text
  return number
end

-- The only way a number leaves: `..` and tostring print 1e+14 from 100,000,000,000,000 on.
local function text_of(number)
  local text = texts[number]
  if not text then
    text = string.format('%.0f', number)
    texts[number] = text
  end
  return text
end

-- The settlement of what a provider has billed is never refused, but a figure that Redis cannot keep exactly is.
local function within_range(number)
  if number > ATOMS_MAX or number < -ATOMS_MAX then error('out_of_range: ' .. text_of(number)) end
  return number
end

-- The largest base whose product, rounded up, is <= room; at most ATOMS_MAX.
local function divide_down(room, millionths)
  if millionths == 1000000 then return room end
  if millionths == 0 then return ATOMS_MAX end
  local quotient = math.floor(room / millionths)
  local rest = math.floor((room - quotient * millionths) * 1000000 / millionths)
  return math.min(ATOMS_MAX, quotient * 1000000 + rest)
end
