-- Changes values of a session, whatever else has been written meanwhile.
--
-- KEYS  1 session
-- ARGV  1 now, ms since 1970  2 new version  3 greatest length of all values
--       4 number of keys to remove, then those keys,
--       then key and data of each value to set
-- No key comes twice.
-- Returns 1 if it is done, 0 if there is no such session, -2 if it cannot be
-- read, -3 if the values would be too long.

local record = redis.pcall('GET', KEYS[1])
if not record then return 0 end
if type(record) ~= 'string' or #record < 144 then return -2 end -- an error: something else has the key
if string.byte(record, 1) ~= 1 then return -2 end
-- Moved or expired: no session any more.
if string.byte(record, 2) == 3 then return 0 end
if struct.unpack('>I8', record, 13) <= tonumber(ARGV[1]) then return 0 end
if string.sub(record, 5, 12) == ARGV[2] then return 1 end -- repeated after a lost reply

local changed, sets = {}, 5 + ARGV[4]
for i = 5, sets - 1 do changed[ARGV[i]] = true end
for i = sets, #ARGV, 2 do changed[ARGV[i]] = true end

-- Keep what lies between the changed values, in as few pieces as possible.
local values = 135 + struct.unpack('>I2', record, 133)
if values > #record + 1 then return -2 end
local parts, length = {}, 0
local function add(part)
  parts[#parts + 1], length = part, length + #part
end
local keep, at = values, values
while at <= #record do
  if at + 5 > #record then return -2 end
  local key_length, data_length = struct.unpack('>I2I4', record, at)
  local key_end = at + 5 + key_length
  local next_value = key_end + 1 + data_length
  if next_value > #record + 1 then return -2 end
  if changed[string.sub(record, at + 6, key_end)] then
    add(string.sub(record, keep, at - 1))
    keep = next_value
  end
  at = next_value
end
add(string.sub(record, keep))

for i = sets, #ARGV, 2 do
  add(struct.pack('>I2I4', #ARGV[i], #ARGV[i + 1]) .. ARGV[i] .. ARGV[i + 1])
end
if length > tonumber(ARGV[3]) then return -3 end

local head = string.sub(record, 1, 4) .. ARGV[2] .. string.sub(record, 13, values - 1)
redis.call('SET', KEYS[1], head .. table.concat(parts), 'KEEPTTL')
return 1
