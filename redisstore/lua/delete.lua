-- Deletes a session and its entry in the user's index.
--
-- KEYS  1 session
--       2 index of the user that ARGV 2 names; missing if ARGV 2 is empty
-- ARGV  1 session ID  2 user ID, as far as the caller knows
-- Returns the empty string if the session is gone. Otherwise nothing is changed,
-- and it returns the user of the session, for the caller to come again with his
-- index: every key has to be declared.

-- As much as it takes for the longest user ID. A value that is no record, or not
-- one of this format, has no user that could be read: it is deleted all the
-- same, and the index forgets it when it is next looked through.
local head = redis.pcall('GETRANGE', KEYS[1], 0, 1159)
if type(head) == 'string' and #head > 136 and string.byte(head, 1) == 1 then
  local user = string.sub(head, 137, 136 + struct.unpack('>I2', head, 135))
  if user ~= '' and user ~= ARGV[2] then return user end
end

redis.call('UNLINK', KEYS[1])
if KEYS[2] then redis.call('ZREM', KEYS[2], ARGV[1]) end
return ''
