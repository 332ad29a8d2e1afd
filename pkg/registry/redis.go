package registry

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// In Redis a service is one hash, <env>:registry:{<service>}, with a field per instance:
// URL -> "<end> <state> <id>".
//   - end is in milliseconds by the clock of Redis; after it an entry counts for nothing, so that the clocks of
//     writers and readers do not matter;
//   - state is "up", or "gone" for the tombstone of a withdrawn instance;
//   - id is of one announcement, so that a tombstone binds its own heartbeats, arriving late, but not a successor at
//     the same URL.
//
// Every script touches this one key and so works on a cluster, and with an ACL user that may write to the key of its
// own service only.

// heartbeatScript writes an entry: ARGV url, id, state, life in ms, retention of the key in ms. It deletes entries
// that ended more than a retention ago, or that would last longer than one. It returns 0 when it had to leave
// another's entry alone.
var heartbeatScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local url, id, state, life, retention = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local ends, was, owner = string.match(entries[i + 1], '^(%d+) (%S+) (%S+)$')
  ends = tonumber(ends) or 0
  if entries[i] == url then
    if state == 'up' and was == 'gone' and owner == id then return 0 end
    if state == 'gone' and owner ~= id and ends > now then return 0 end
  elseif ends + retention < now or ends > now + retention then
    redis.call('HDEL', KEYS[1], entries[i])
  end
end
redis.call('HSET', KEYS[1], url, string.format('%.0f %s %s', now + life, state, id))
redis.call('PEXPIRE', KEYS[1], retention)
return 1
`)

// readScript returns the number of refused entries, then url and state of each that has not ended: ARGV the longest
// life of an instance in ms, that of a tombstone, the most entries returned. An entry is refused that no
// heartbeatScript writes: malformed, or with an end further ahead than it can have been set.
var readScript = redis.NewScript(`#!lua flags=no-writes
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local latest = {up = now + ARGV[1], gone = now + ARGV[2]}
local entries, refused, out = redis.call('HGETALL', KEYS[1]), 0, {'0'}
for i = 1, #entries, 2 do
  local ends, state = string.match(entries[i + 1], '^(%d+) (%S+) %S+$')
  ends = tonumber(ends)
  if not ends or not latest[state] or ends > latest[state] or #entries[i] > 512 then
    refused = refused + 1
  elseif ends > now and #out < 2 * ARGV[3] then
    table.insert(out, entries[i])
    table.insert(out, state)
  end
end
out[1] = tostring(refused)
return out
`)

const (
	stateUp   = "up"
	stateGone = "gone"
)

const (
	maxInstances = 64  // of a service, as read from Redis
	maxEntries   = 256 // read at once, before hosts are checked: instances, tombstones, and what is refused
)

// redisResolver reads what instances announced.
type redisResolver struct {
	r       *Registry
	allowed hosts
}

func redisKey(env, service string) string { return env + ":registry:{" + service + "}" }

func (r redisResolver) resolve(ctx context.Context, service string) (listing, error) {
	ttl := r.r.ttl.Milliseconds()
	flat, err := readScript.RunRO(ctx, r.r.deps.Redis, []string{redisKey(r.r.cfg.Env, service)},
		ttl, ttl*tombstonesLast, maxEntries).StringSlice()
	if err != nil {
		return listing{}, fmt.Errorf("read %s: %w", service, err)
	}
	return parseEntries(service, flat, r.allowed), nil
}

// parseEntries takes over what a heartbeat may have written: other programs can write to the key, too.
func parseEntries(service string, flat []string, allowed hosts) listing {
	var l listing
	if len(flat) == 0 {
		return l
	}
	l.refused, _ = strconv.Atoi(flat[0])
	for flat = flat[1:]; len(flat) >= 2; flat = flat[2:] {
		e, err := newEndpoint(service, flat[0], DefaultHealthEndpoint)
		if err == nil {
			err = allowed.checkURL(e.url)
		}
		switch {
		case err != nil:
			l.refused, l.reason = l.refused+1, err
		case flat[1] == stateUp:
			l.live = append(l.live, e)
		case flat[1] == stateGone:
			l.withdrawn = append(l.withdrawn, e.url)
		}
	}
	return l.capped()
}

// capped returns the listing with at most maxInstances instances, the same ones at each look-up.
func (l listing) capped() listing {
	if extra := len(l.live) - maxInstances; extra > 0 {
		slices.SortFunc(l.live, func(a, b endpoint) int { return strings.Compare(a.url, b.url) })
		l.live, l.refused = l.live[:maxInstances], l.refused+extra
		l.reason = fmt.Errorf("more than %d instances", maxInstances)
	}
	return l
}
