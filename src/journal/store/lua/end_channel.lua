-- Ends a channel; 0 if there is none, or it has ended.
-- KEYS: meta, frames, head. ARGV: how, why, time to live, channel.
local state = redis.call('HMGET', KEYS[1], 'channel', 'end', 'deleted')
if not state[1] or state[2] or state[3] then return 0 end
redis.call('HSET', KEYS[1], 'end', ARGV[1], 'reason', ARGV[2])
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
redis.call('PUBLISH', ARGV[4], '')
return 1
