-- Replaces a session, if it is there and has the expected version.
--
-- KEYS  1 session
--       2 index of the user; missing for an anonymous session
-- ARGV  1 record  2 time to live, ms  3 session ID  4 expiry, ms since 1970,
--       or empty for a session that is not to be listed  5 expected version
-- Returns 1 if it is replaced, 0 if there is none, -1 if it has another version,
-- -2 if it cannot be read.

local old, new = redis.pcall('GET', KEYS[1]), ARGV[1]
if not old then return 0 end
if type(old) ~= 'string' or #old < 144 then return -2 end -- an error: something else has the key
if string.byte(old, 1) ~= string.byte(new, 1) then return -2 end
if 134 + struct.unpack('>I2', old, 133) > #old then return -2 end

-- The user ID is the first thing behind the head, after its length.
local user_end = 136 + struct.unpack('>I2', old, 135)
if string.sub(old, 135, user_end) ~= string.sub(new, 135, user_end) then return 0 end

local version = string.sub(old, 5, 12)
if version == string.sub(new, 5, 12) then return 1 end -- repeated after a lost reply
if version ~= ARGV[5] then return -1 end

redis.call('SET', KEYS[1], new, 'PX', ARGV[2])
if not KEYS[2] then return 1 end

if ARGV[4] == '' then
  redis.call('ZREM', KEYS[2], ARGV[3])
  return 1
end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
-- As in create.lua: the index outlives every session in it.
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return 1
