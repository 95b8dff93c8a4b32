-- Begins a stream, unless there is one of this id.
-- KEYS: meta, frames, head, lease. ARGV: writer, owner, lease, time to live, head.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'writer', ARGV[1], 'owner', ARGV[2], 'epoch', 1, 'first', 1, 'last', 0, 'bytes', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[3], ARGV[5], 'PX', ARGV[4])
redis.call('SET', KEYS[4], ARGV[1], 'PX', ARGV[3])
return 1
