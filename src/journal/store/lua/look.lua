-- Tells how a stream stands, and gives the frames behind a number.
-- KEYS: meta, frames, head, lease, readers. ARGV: number, how many, how long the reader reads, with the head or without.
local state = redis.call('HMGET', KEYS[1], 'owner', 'first', 'last', 'bytes', 'end', 'reason', 'deleted', 'turn', 'viewer', 'writer', 'channel')
if not state[1] then return {} end
for i = 1, 10 do state[i] = state[i] or '' end
-- A channel has no writer of its own that could die.
local channel = state[11]
state[11] = channel or tostring(redis.call('EXISTS', KEYS[4]))
state[12] = ARGV[4] == '1' and redis.call('GET', KEYS[3]) or ''
if ARGV[3] ~= '0' and state[5] == '' and not channel then
  -- A store that is full or read-only can still be read. The writer is told at once that somebody reads.
  local fresh = redis.call('EXISTS', KEYS[5]) == 0
  redis.pcall('SET', KEYS[5], '1', 'PX', ARGV[3])
  if fresh then redis.call('PUBLISH', 'sg:replica:' .. state[10], string.sub(KEYS[1], 5, -7)) end
end
if ARGV[2] ~= '0' then
  local frames = redis.call('XRANGE', KEYS[2], string.format('%d-0', tonumber(ARGV[1]) + 1), '+', 'COUNT', ARGV[2])
  for _, frame in ipairs(frames) do
    table.insert(state, frame[1])
    table.insert(state, frame[2][2] or '')
  end
end
return state
