-- Ends a stream whose writer has let its lease run out.
-- KEYS: meta, frames, head. ARGV: time to live, time to live of the frames, channel.
local state = redis.call('HMGET', KEYS[1], 'writer', 'end', 'deleted', 'channel', 'alive')
if not state[1] or state[2] or state[3] or state[4] then return 0 end
local time = redis.call('TIME')
if (tonumber(state[5]) or 0) > time[1] * 1000 + math.floor(time[2] / 1000) then return 0 end
redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'end', 'lost', 'reason', 'producer_lost')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
redis.call('PUBLISH', ARGV[3], '')
return 1
