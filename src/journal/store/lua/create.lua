-- Begins a stream, unless there is one of this id; gives how many pieces of its head there are.
-- KEYS: meta, frames, head. ARGV: writer, owner, lease, time to live, first piece of the head.
local time = redis.call('TIME')
local alive = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('HSET', KEYS[1], 'writer', ARGV[1], 'owner', ARGV[2], 'epoch', 1, 'first', 1, 'last', 0, 'bytes', 0,
    'alive', string.format('%.0f', alive))
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
-- The head may be all that was lost. What the next append finds is told there.
local state = redis.call('HMGET', KEYS[1], 'writer', 'deleted')
if state[1] == ARGV[1] and not state[2] and redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('RPUSH', KEYS[3], ARGV[5])
  redis.call('PEXPIRE', KEYS[3], ARGV[4])
end
return redis.call('LLEN', KEYS[3])
