-- Adds frames to a stream, renews the lease of its writer, and tells the writer what it should know.
-- KEYS: meta, frames, head, lease, readers. ARGV: writer, number of the first frame here, number of the first frame that is
-- kept, bytes that are kept, lease, time to live, time to live of the frames, how it ended, why, channel, frames.
local state = redis.call('HMGET', KEYS[1], 'writer', 'epoch', 'first', 'last', 'gone', 'deleted', 'turn', 'viewer')
if not state[1] then return {'missing'} end
if state[6] then return {'deleted'} end
-- Whoever fences a writer counts the epoch up: this one was taken for dead, and its readers were told so.
if state[1] ~= ARGV[1] or state[2] ~= '1' then return {'fenced'} end
local first, last = tonumber(state[3]), tonumber(state[4])
local from, keep, before = tonumber(ARGV[2]), tonumber(ARGV[3]), last
if from > last + 1 and from ~= keep then return {'behind', tostring(last)} end
for i = 11, #ARGV do
  local number = from + i - 11
  -- What is there already was sent before, and only the reply was lost.
  if number > last then
    redis.call('XADD', KEYS[2], string.format('%d-0', number), 'f', ARGV[i])
    last = number
  end
end
if keep > first then
  redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-0', keep))
  first = keep
end
redis.call('HSET', KEYS[1], 'first', first, 'last', last, 'bytes', ARGV[4])
if ARGV[8] == '' then
  redis.call('SET', KEYS[4], ARGV[1], 'PX', ARGV[5])
else
  redis.call('HSET', KEYS[1], 'end', ARGV[8], 'reason', ARGV[9])
  redis.call('DEL', KEYS[4])
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call('PEXPIRE', KEYS[3], ARGV[7])
if last > before or ARGV[8] ~= '' then redis.call('PUBLISH', ARGV[10], '') end
return {'kept', tostring(last), state[5] or '', state[7] or '0', state[8] or '', tostring(redis.call('EXISTS', KEYS[5]))}
