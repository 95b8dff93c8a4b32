-- Adds a frame to a channel, whoever publishes it, and gives its number.
-- KEYS: meta, frames, head. ARGV: run of the store, the number that it must have or 0, its size, the bytes that storing adds to a
-- frame, how many bytes are kept, time to live, channel, frame.
local state = redis.call('HMGET', KEYS[1], 'first', 'last', 'bytes', 'end', 'deleted', 'run')
if not state[1] or state[4] or state[5] then return {'gone'} end
if state[6] ~= ARGV[1] then
  -- Another server than the last time, or the same after a restart: it may have lost frames whose numbers readers have seen.
  redis.call('HSET', KEYS[1], 'end', 'lost', 'reason', 'producer_lost')
  redis.call('PUBLISH', ARGV[7], '')
  return {'gone'}
end
local first, number, bytes = tonumber(state[1]), tonumber(state[2]) + 1, tonumber(state[3]) + tonumber(ARGV[3])
if ARGV[2] ~= '0' and tonumber(ARGV[2]) ~= number then return {'behind', tostring(number - 1)} end
redis.call('XADD', KEYS[2], string.format('%d-0', number), 'f', ARGV[8])
local keep = first
while bytes > tonumber(ARGV[5]) and keep < number do
  local oldest = redis.call('XRANGE', KEYS[2], string.format('%d-0', keep), string.format('%d-0', keep))[1]
  if oldest then bytes = bytes - (string.len(oldest[2][2]) - tonumber(ARGV[4])) end
  keep = keep + 1
end
if keep > first then redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-0', keep)) end
redis.call('HSET', KEYS[1], 'first', keep, 'last', number, 'bytes', bytes)
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[6]) end
redis.call('PUBLISH', ARGV[7], '')
return {'kept', tostring(number)}
