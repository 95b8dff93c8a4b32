-- Begins a channel, unless there is a stream of this id.
-- KEYS: meta, frames, head. ARGV: owner, run of the store, time to live, head.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'channel', '1', 'writer', '', 'owner', ARGV[1], 'run', ARGV[2], 'first', 1, 'last', 0, 'bytes', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('RPUSH', KEYS[3], ARGV[4])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return 1
