-- Takes a name, if it stands for what the caller thinks it does.
-- KEYS: name. ARGV: what it stands for now, what it shall stand for, time to live.
local now = redis.call('GET', KEYS[1]) or ''
if now == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return now
