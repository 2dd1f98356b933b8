-- Stores a new session and its entry in the user's index.
--
-- KEYS  1 session
--       2 index of the user; missing for a session that is not listed
-- ARGV  1 record  2 time to live, ms  3 session ID  4 expiry, ms since 1970
--       5 now, ms since 1970  6 members past their expiry from which on it tells
-- Returns {1, member...} if the session is stored, with members of the index
-- that are past their expiry when there are many; {0} if the ID is taken.

local old = redis.pcall('GET', KEYS[1]) -- an error: something else has the key
if old then
  -- The same version: the reply to this very call was lost, and it is repeated.
  if type(old) == 'string' and string.sub(old, 5, 12) == string.sub(ARGV[1], 5, 12) then return {1} end
  return {0}
end

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if not KEYS[2] then return {1} end

redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
-- The index outlives every session in it: its time to live only grows. Compared
-- on the server, so that no clock but its own counts. (PEXPIRE GT needs 7.0.)
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end

if redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[5]) < tonumber(ARGV[6]) then return {1} end
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[5], 'LIMIT', 0, 1000)
return {1, unpack(due)}
