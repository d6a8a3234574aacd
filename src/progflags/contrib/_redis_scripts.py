"""
What the Redis store has the server do: a script is one step that nothing can come between.

All keys of one script begin with the same word in braces, so a cluster has them in one slot.
"""

from __future__ import annotations

from typing import Final

__all__ = ["COLLECT", "COMMIT", "HISTORY", "NOW", "PUBLISH", "READ", "SCRIPTS", "TRIM"]

# KEYS: revision, documents, ids, ids by age, then one list per entry. ARGV: id, remembered, the number of expected keys, the
# revision that must be there at least, the channel to tell ("" for none), those keys with revisions, the number of writes and those keys
# with texts ("" deletes), then the entries' texts. A user who may not PUBLISH commits all the same.
COMMIT: Final = """
local taken = redis.call('HGET', KEYS[3], ARGV[1])
if taken then return {'taken', taken} end
local now = redis.call('GET', KEYS[1]) or '0'
if tonumber(now) < tonumber(ARGV[4]) then return {'back', now} end
local at, found, moved = 6, {'moved'}, false
for _ = 1, tonumber(ARGV[3]) do
  local there = redis.call('HGET', KEYS[2], ARGV[at])
  local revision = there and string.match(there, '^%d+') or '0'
  found[#found + 1] = revision
  if revision ~= ARGV[at + 1] then moved = true end
  at = at + 2
end
if moved then return found end
local revision = redis.call('INCR', KEYS[1])
local writes = tonumber(ARGV[at])
at = at + 1
for _ = 1, writes do
  if ARGV[at + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[at])
  else redis.call('HSET', KEYS[2], ARGV[at], revision .. ':' .. ARGV[at + 1]) end
  at = at + 2
end
for list = 5, #KEYS do
  redis.call('RPUSH', KEYS[list], revision .. ':' .. ARGV[at])
  at = at + 1
end
redis.call('HSET', KEYS[3], ARGV[1], revision)
redis.call('ZADD', KEYS[4], revision, ARGV[1])
local old = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', revision - tonumber(ARGV[2]))
for _, id in ipairs(old) do
  redis.call('HDEL', KEYS[3], id)
  redis.call('ZREM', KEYS[4], id)
end
if ARGV[5] ~= '' then redis.pcall('PUBLISH', ARGV[5], revision) end
return {'done', revision}
"""

READ: Final = """
local all, found = redis.call('HGETALL', KEYS[2]), {redis.call('GET', KEYS[1]) or '0'}
for at = 1, #all, 2 do
  if string.sub(all[at], 1, #ARGV[1]) == ARGV[1] then
    found[#found + 1] = all[at]
    found[#found + 1] = all[at + 1]
  end
end
return found
"""

PUBLISH: Final = """
local there = redis.call('HGET', KEYS[1], ARGV[1])
if not (there and tonumber(string.match(there, '^%d+')) >= tonumber(ARGV[2])) then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. now[1] .. '.' .. string.format('%06d', now[2]) .. ':' .. ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return redis.call('GET', KEYS[2]) or '0'
"""

# The time is that of the server which has the keys, and the rows: the nodes of a cluster have a clock each.
COLLECT: Final = """
local found = redis.call('HGETALL', KEYS[1])
table.insert(found, 1, redis.call('TIME'))
return found
"""

NOW: Final = "return redis.call('TIME')"

# A list begins with the entry after those that were cut from it; a hash has how many these are, by list.
HISTORY: Final = """
local gone = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
local first = math.max(gone, tonumber(ARGV[2]))
return {first, redis.call('LRANGE', KEYS[1], first - gone, first - gone + tonumber(ARGV[3]) - 1)}
"""

TRIM: Final = """
local gone = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
local more = math.min(tonumber(ARGV[2]) - gone, redis.call('LLEN', KEYS[1]) - 1)
if more <= 0 then return gone end
redis.call('LTRIM', KEYS[1], more, -1)
redis.call('HSET', KEYS[2], ARGV[1], gone + more)
return gone + more
"""

SCRIPTS: Final = (COMMIT, READ, PUBLISH, COLLECT, NOW, HISTORY, TRIM)
