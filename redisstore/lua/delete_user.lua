-- Deletes sessions of a user and their entries in his index.
--
-- KEYS  1 index of the user  2... sessions
-- ARGV  1 now, ms since 1970  2... the IDs of KEYS 2...
-- Returns how many of them were live: expired ones are deleted but not counted,
-- moved ones are no sessions and stay.

local now, live = tonumber(ARGV[1]), 0
for i = 2, #KEYS do
  local head = redis.pcall('GETRANGE', KEYS[i], 0, 19)
  -- What cannot be read is deleted, in case another version can.
  local readable = type(head) == 'string' and #head == 20 and string.byte(head, 1) == 1
  local moved = readable and string.byte(head, 2) == 3
  if readable and not moved and struct.unpack('>I8', head, 13) > now then live = live + 1 end
  if not moved then redis.call('UNLINK', KEYS[i]) end
  redis.call('ZREM', KEYS[1], ARGV[i])
end
return live
