-- Throws away a stream, and remembers for a while that there was one.
-- KEYS: meta, frames, head. ARGV: time to live of the memory, channel, id.
local writer = redis.call('HGET', KEYS[1], 'writer')
if not writer then return 0 end
redis.call('HSET', KEYS[1], 'deleted', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('PUBLISH', 'sg:replica:' .. writer, ARGV[3])
redis.call('PUBLISH', ARGV[2], '')
return 1
