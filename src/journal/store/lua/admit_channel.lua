-- Has a name count among the channels for a while, if there is room for it: among all of them, and among those of its owner.
-- KEYS: all, the owner's. ARGV: the name, time to live, how many there may be, how many of one owner.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, 2 do redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', string.format('%.0f', now)) end
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return 'owner' end
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 'all' end
end
for i = 1, 2 do
  redis.call('ZADD', KEYS[i], string.format('%.0f', now + ARGV[2]), ARGV[1])
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
return 'room'
