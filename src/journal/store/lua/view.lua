-- Admits a viewer; one that takes everybody's place is told to all replicas.
-- KEYS: meta, superseded viewers. ARGV: viewer, exclusive or not, time to live, channel, id.
local state = redis.call('HMGET', KEYS[1], 'writer', 'viewer', 'turn')
if not state[1] then return {'missing', '0'} end
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return {'superseded', '0'} end
if ARGV[2] ~= '1' then return {'admitted', state[3] or '0'} end
if state[2] and state[2] ~= ARGV[1] then
  redis.call('SADD', KEYS[2], state[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
redis.call('HSET', KEYS[1], 'viewer', ARGV[1])
local turn = redis.call('HINCRBY', KEYS[1], 'turn', 1)
redis.call('PUBLISH', 'sg:replica:' .. state[1], ARGV[5])
redis.call('PUBLISH', ARGV[4], '')
return {'admitted', tostring(turn)}
