-- Adds to a stream, renews the lease of its writer, and tells the writer what it should know.
-- KEYS: meta, frames, head, readers. ARGV: writer, number of the first frame here, number of the first frame that is kept, bytes
-- that are kept, lease, time to live, time to live of the frames, how it ended, why, the end sealed, channel, what follows (frames,
-- or a piece of a frame or of the head, or the last one of a frame), the index of the piece, then frames or the piece.
local state = redis.call('HMGET', KEYS[1], 'writer', 'epoch', 'first', 'last', 'gone', 'deleted', 'turn', 'viewer', 'part', 'pieces')
if not state[1] then return {'missing'} end
if state[6] then return {'deleted'} end
-- Whoever fences a writer counts the epoch up: this one was taken for dead, and its readers were told so.
if state[1] ~= ARGV[1] or state[2] ~= '1' then return {'fenced'} end
local first, last = tonumber(state[3]), tonumber(state[4])
if redis.call('EXISTS', KEYS[3]) == 0 or (last >= first and redis.call('EXISTS', KEYS[2]) == 0) then
  -- A part of it was lost: its writer begins it anew.
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('HDEL', KEYS[1], 'part', 'pieces')
  redis.call('HSET', KEYS[1], 'first', 1, 'last', 0)
  return {'missing'}
end
local from, keep, before, what, index = tonumber(ARGV[2]), tonumber(ARGV[3]), last, ARGV[12], tonumber(ARGV[13])
-- Pieces of the frame behind the last one.
local pieces = state[9] == string.format('%d', from) and tonumber(state[10]) or 0
local frames = what == 'frames'
if (from > last + 1 and from ~= keep) or ((what == 'piece' or what == 'last') and from > last and index > pieces) then
  return {'behind', tostring(last), tostring(from == last + 1 and pieces or 0)}
end
if frames then
  for i = 14, #ARGV do
    local number = from + i - 14
    -- What is there already was sent before, and only the reply was lost.
    if number > last then
      redis.call('XADD', KEYS[2], string.format('%d-0', number), 'f', ARGV[i])
      last = number
    end
  end
elseif what == 'head' then
  if redis.call('LLEN', KEYS[3]) == index then redis.call('RPUSH', KEYS[3], ARGV[14]) end
elseif from > last then
  if index == pieces then
    redis.call('XADD', KEYS[2], string.format('%d-%d', from, index), 'f', ARGV[14])
    pieces = pieces + 1
  end
  redis.call('HSET', KEYS[1], 'part', string.format('%d', from), 'pieces', pieces)
  if what == 'last' then last = from end
end
if keep > first then
  redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-0', keep))
  first = keep
end
redis.call('HSET', KEYS[1], 'first', first, 'last', last, 'bytes', ARGV[4])
if ARGV[8] == '' then
  local time = redis.call('TIME')
  local alive = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[5]
  redis.call('HSET', KEYS[1], 'alive', string.format('%.0f', alive))
else
  redis.call('HSET', KEYS[1], 'end', ARGV[8], 'reason', ARGV[9], 'seal', ARGV[10])
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call('PEXPIRE', KEYS[3], ARGV[7])
if last > before or ARGV[8] ~= '' then redis.call('PUBLISH', ARGV[11], '') end
return {'kept', tostring(last), state[5] or '', state[7] or '0', state[8] or '', tostring(redis.call('EXISTS', KEYS[4])),
  tostring(from > last and pieces or 0), tostring(redis.call('LLEN', KEYS[3]))}
