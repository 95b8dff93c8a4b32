-- Ends a channel; 0 if there is none, or it has ended.
-- KEYS: meta, frames, head. ARGV: how, why, the end sealed, time to live, channel.
local state = redis.call('HMGET', KEYS[1], 'channel', 'end', 'deleted')
if not state[1] or state[2] or state[3] then return 0 end
redis.call('HSET', KEYS[1], 'end', ARGV[1], 'reason', ARGV[2], 'seal', ARGV[3])
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
redis.call('PUBLISH', ARGV[5], '')
return 1
