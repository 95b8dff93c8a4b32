-- Takes from what a key may use, all of it or nothing; or settles what was used, whatever is left.
-- KEYS: the key's. ARGV: microseconds of its rate of requests, of its rate of tokens, tokens of today, tokens of a day (-1: any
-- number), whether it settles. Gives whether it was taken, how far requests and tokens run ahead of their rates, and today's tokens.
local MINUTE, DAY = 60000000, 86400
local time = redis.call('TIME')
local seconds = tonumber(time[1])
local now, day = seconds * 1000000 + tonumber(time[2]), math.floor(seconds / DAY)
local state = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'day', 'today')
local requests = math.max((tonumber(state[1]) or 0) - now, 0)
local tokens = math.max((tonumber(state[2]) or 0) - now, 0)
local today = tonumber(state[3]) == day and tonumber(state[4]) or 0
local asked, wanted, spent, budget = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local settles = ARGV[5] == '1'
local short = (asked > 0 and requests + asked > MINUTE)
  or (wanted > 0 and tokens + wanted > MINUTE)
  or (spent > 0 and budget >= 0 and today + spent > budget)
if settles or not short then
  requests = math.max(requests + asked, 0)
  tokens = math.max(tokens + wanted, 0)
  today = math.max(today + spent, 0)
  redis.call('HSET', KEYS[1], 'requests', string.format('%.0f', now + requests),
    'tokens', string.format('%.0f', now + tokens), 'day', day, 'today', string.format('%.0f', today))
  -- For as long as anything of it means something: until tomorrow, or until the debts are made up for.
  redis.call('EXPIRE', KEYS[1], DAY + math.floor(math.max(requests, tokens) / 1000000))
end
return {(settles or not short) and 1 or 0, requests, tokens, today}
