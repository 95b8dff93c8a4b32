-- Asks the writer of a stream to stop.
-- KEYS: meta. ARGV: why, id.
local state = redis.call('HMGET', KEYS[1], 'writer', 'end', 'gone')
if not state[1] then return 0 end
if not state[2] and not state[3] then redis.call('HSET', KEYS[1], 'gone', ARGV[1]) end
redis.call('PUBLISH', 'sg:replica:' .. state[1], ARGV[2])
return 1
