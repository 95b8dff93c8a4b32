-- Has a conversation stand for a stream, if it stands for what the caller thinks it does, and puts the stream at the end of the
-- conversation's line: who is ahead in it took the name before.
-- KEYS: name, line. ARGV: what it stands for now, the stream, time to live, how many there may be in line.
local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then return now end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('ZADD', KEYS[2], (tonumber(last[2]) or 0) + 1, ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -tonumber(ARGV[4]) - 1)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return now
