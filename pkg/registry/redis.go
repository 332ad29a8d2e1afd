package registry

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// In Redis a service is one hash, registry:{<service>}, with a field per instance:
// URL -> "<end> <state> <id> <health>".
//   - end is in milliseconds by the clock of Redis; after it an entry counts for nothing, so that the clocks of
//     writers and readers do not matter;
//   - state is "up", or "gone" for the tombstone of a withdrawn instance;
//   - id is of one announcement, so that a tombstone binds its own heartbeats, arriving late, but not a successor at
//     the same URL.
//
// Every script touches this one key and so works on a cluster.

// heartbeatScript writes an entry: ARGV url, id, state, health, life in ms, retention of the key in ms. It forgets
// entries that ended more than a retention ago. It returns 0 when it had to leave another's entry alone.
var heartbeatScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local url, id, state, health, life, retention = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local ends, was, owner = string.match(entries[i + 1], '^(%d+) (%S+) (%S+)')
  ends = tonumber(ends) or 0
  if entries[i] == url then
    if state == 'up' and was == 'gone' and owner == id then return 0 end
    if state == 'gone' and owner ~= id and ends > now then return 0 end
  elseif ends + retention < now then
    redis.call('HDEL', KEYS[1], entries[i])
  end
end
redis.call('HSET', KEYS[1], url, string.format('%.0f %s %s %s', now + life, state, id, health))
redis.call('PEXPIRE', KEYS[1], retention)
return 1
`)

// readScript returns url, state, health of every entry that has not ended, one after the other.
var readScript = redis.NewScript(`#!lua flags=no-writes
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local entries, out = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #entries, 2 do
  local ends, state, health = string.match(entries[i + 1], '^(%d+) (%S+) %S+ (%S+)$')
  if ends and tonumber(ends) > now then
    table.insert(out, entries[i])
    table.insert(out, state)
    table.insert(out, health)
  end
end
return out
`)

const (
	stateUp   = "up"
	stateGone = "gone"
)

// redisResolver reads what instances announced.
type redisResolver struct{ client redis.UniversalClient }

func redisKey(service string) string { return "registry:{" + service + "}" }

func (r redisResolver) resolve(ctx context.Context, service string) (listing, error) {
	flat, err := readScript.RunRO(ctx, r.client, []string{redisKey(service)}).StringSlice()
	if err != nil {
		return listing{}, fmt.Errorf("read %s: %w", service, err)
	}
	return parseEntries(service, flat), nil
}

// parseEntries takes over what is well-formed: other programs can write to the key too.
func parseEntries(service string, flat []string) listing {
	var l listing
	for ; len(flat) >= 3; flat = flat[3:] {
		e, err := newEndpoint(service, flat[0], flat[2])
		switch {
		case err != nil:
		case flat[1] == stateUp:
			l.live = append(l.live, e)
		case flat[1] == stateGone:
			l.withdrawn = append(l.withdrawn, e.url)
		}
	}
	return l
}
