-- Tells how a stream stands, and gives the frames behind a number, or pieces of them, and the first piece of its head.
-- KEYS: meta, frames, head, readers. ARGV: number, how many, how many bytes (more or less), how long the reader reads, with the head
-- or without.
local state = redis.call('HMGET', KEYS[1], 'owner', 'first', 'last', 'bytes', 'end', 'reason', 'seal', 'deleted', 'turn', 'viewer',
  'alive', 'channel', 'writer')
if not state[2] then return {} end
local channel, writer = state[12], state[13] or ''
for i = 1, 10 do state[i] = state[i] or '' end
-- A channel has no writer of its own that could die.
local time = redis.call('TIME')
local alive = channel or (tonumber(state[11]) or 0) > time[1] * 1000 + math.floor(time[2] / 1000)
state[11] = alive and '1' or '0'
state[12] = ARGV[5] == '1' and redis.call('LINDEX', KEYS[3], 0) or ''
state[13] = nil
if ARGV[4] ~= '0' and state[5] == '' and not channel then
  -- A store that is full or read-only can still be read. The writer is told at once that somebody reads.
  local fresh = redis.call('EXISTS', KEYS[4]) == 0
  redis.pcall('SET', KEYS[4], '1', 'PX', ARGV[4])
  if fresh then redis.call('PUBLISH', 'sg:replica:' .. writer, string.sub(KEYS[1], 5, -7)) end
end
local from, left, room = string.format('%d-0', tonumber(ARGV[1]) + 1), tonumber(ARGV[2]), tonumber(ARGV[3])
while left > 0 and room > 0 do
  local asked = math.min(left, 16)
  local frames = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', asked)
  for _, frame in ipairs(frames) do
    if room > 0 then
      local bytes = frame[2][2] or ''
      table.insert(state, frame[1])
      table.insert(state, bytes)
      from, left, room = '(' .. frame[1], left - 1, room - string.len(bytes)
    end
  end
  if #frames < asked then break end
end
return state
