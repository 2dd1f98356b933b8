-- Stores a new session of a user who may have only so many, and removes those
-- that make room for it.
--
-- KEYS  1 session  2 index of the user  3... sessions that were in the index
-- ARGV  1 record  2 time to live, ms  3 session ID  4 expiry, ms since 1970
--       5 now, ms since 1970  6 members past their expiry from which on it looks
--       at them  7 limit  8 '1': refuse rather than remove
--       9... the IDs of KEYS 3...
-- Returns {1, id...} if the session is stored, with the IDs removed;
--         {0} if the ID is taken; {-1} if the limit refuses;
--         {2, id...} if it has to look at these sessions first: nothing is
--         changed then, and the caller comes again with them as KEYS.
--
-- Every key has to be declared, which takes knowing the index. The first call
-- does without: below the limit even if all that is in the index counted, there
-- is nothing to look at.

-- As in create.lua.
local old = redis.pcall('GET', KEYS[1])
if old then
  if type(old) == 'string' and string.sub(old, 5, 12) == string.sub(ARGV[1], 5, 12) then return {1} end
  return {0}
end

local now, many = tonumber(ARGV[5]), tonumber(ARGV[6])
local limit, refuse = tonumber(ARGV[7]), ARGV[8] == '1'
local key = {}
for i = 3, #KEYS do key[ARGV[i + 6]] = KEYS[i] end

-- Whether the session counts, by its own state (2nd byte) and expiry (13th to
-- 20th), which are what its readers go by. What this script cannot read counts
-- by the index: rather one too many than a way around the limit.
local function counts(k, score)
  local head = redis.pcall('GETRANGE', k, 0, 19)
  if type(head) ~= 'string' then return false end -- not a string: no session
  if #head < 20 or string.byte(head, 1) ~= 1 then return score > now end
  return string.byte(head, 2) == 1 and struct.unpack('>I8', head, 13) > now
end

-- The index is in the order of expiry, and so is what counts.
local counted, gone, unknown, due = {}, {}, 0, 0
local index = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for i = 1, #index, 2 do
  local id, score = index[i], tonumber(index[i + 1])
  if id ~= ARGV[3] then
    if not key[id] then
      if score > now then unknown = unknown + 1 else due = due + 1 end
    elseif redis.call('EXISTS', key[id]) == 0 then
      gone[#gone + 1] = id
    elseif counts(key[id], score) then
      counted[#counted + 1] = id
    end
  end
end

local over = #counted + unknown + 1 - limit
if refuse and #counted >= limit then return {-1} end
if over > 0 and unknown > 0 or due >= many then
  local look = {2}
  for i = 1, #index, 2 do look[#look + 1] = index[i] end
  return look
end

-- SET comes first: when memory is full it fails, and nobody must have been
-- signed out by then.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end

local answer = {1}
for i = 1, over do
  redis.call('UNLINK', key[counted[i]])
  redis.call('ZREM', KEYS[2], counted[i])
  answer[#answer + 1] = counted[i]
end
for _, id in ipairs(gone) do redis.call('ZREM', KEYS[2], id) end
return answer
