-- Adds a frame to a channel, whoever publishes it, and gives its number.
-- KEYS: meta, frames, head, further pieces of the frame. ARGV: run of the store, the number that it must have or 0, how many bytes
-- are kept, time to live, channel, frame or its beginning, how many further pieces it has, the bytes that storing adds to each.
local state = redis.call('HMGET', KEYS[1], 'first', 'last', 'bytes', 'end', 'deleted', 'run')
local pieces, added = tonumber(ARGV[7]), tonumber(ARGV[8])
if not state[1] or state[4] or state[5] then
  if pieces > 0 then redis.call('DEL', KEYS[4]) end
  return {'gone'}
end
if state[6] ~= ARGV[1] then
  -- Another server than the last time, or the same after a restart: it may have lost frames whose numbers readers have seen.
  redis.call('HSET', KEYS[1], 'end', 'lost', 'reason', 'producer_lost')
  redis.call('PUBLISH', ARGV[5], '')
  return {'gone'}
end
local first, number = tonumber(state[1]), tonumber(state[2]) + 1
if ARGV[2] ~= '0' and tonumber(ARGV[2]) ~= number then return {'behind', tostring(number - 1)} end
if pieces > 0 and redis.call('LLEN', KEYS[4]) ~= pieces then return {'incomplete'} end
redis.call('XADD', KEYS[2], string.format('%d-0', number), 'f', ARGV[6])
local bytes = tonumber(state[3]) + string.len(ARGV[6]) - added
for i = 1, pieces do
  local piece = redis.call('LPOP', KEYS[4])
  redis.call('XADD', KEYS[2], string.format('%d-%d', number, i), 'f', piece)
  bytes = bytes + string.len(piece) - added
end
local keep = first
while bytes > tonumber(ARGV[3]) and keep < number do
  local oldest = redis.call('XRANGE', KEYS[2], string.format('%d-0', keep), string.format('%d', keep))
  for _, entry in ipairs(oldest) do bytes = bytes - string.len(entry[2][2] or '') + added end
  keep = keep + 1
end
if keep > first then redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-0', keep)) end
redis.call('HSET', KEYS[1], 'first', keep, 'last', number, 'bytes', bytes)
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
redis.call('PUBLISH', ARGV[5], '')
return {'kept', tostring(number)}
