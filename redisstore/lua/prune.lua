-- Removes entries without a session from the index of a user.
--
-- KEYS  1 index of the user  2... sessions that seem to be gone
-- ARGV  1... the IDs of KEYS 2...
-- Returns how many it removed.
--
-- Looking and removing have to be one step: a client that sees no session and
-- then removes the entry does so after the session was created in between, which
-- nobody could list or revoke then.

local removed = 0
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    removed = removed + redis.call('ZREM', KEYS[1], ARGV[i - 1])
  end
end
return removed
