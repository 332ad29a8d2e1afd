package events

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// trimScript removes from the stream KEYS[1] what every consumer group has
// acknowledged. ARGV is the most entries that may stay whatever the groups need,
// and the lowest id that groups need which are registered but not there now (""
// for none). It answers how many entries were removed, how many of those were
// needed, and name, needed id and pending entries of each group.
//
// A group needs its oldest pending entry, or what comes after its last delivered
// one. It all happens in one script: between looking and trimming nothing moves.
var trimScript = redis.NewScript(`
local function parse(id)
	local ms, seq = string.match(id, '^(%d+)-(%d+)$')
	return tonumber(ms), tonumber(seq)
end
local low, low_ms, low_seq = ARGV[2], nil, nil
if low ~= '' then low_ms, low_seq = parse(low) end
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return {0, 0} end
local answer = {0, 0}
for _, group in ipairs(groups) do
	local g = {}
	for i = 1, #group, 2 do g[group[i]] = group[i + 1] end
	local ms, seq = parse(g['last-delivered-id'])
	seq = seq + 1
	local need = string.format('%.0f-%.0f', ms, seq)
	if g['pending'] > 0 then
		need = redis.call('XPENDING', KEYS[1], g['name'])[2]
		ms, seq = parse(need)
	end
	if low_ms == nil or ms < low_ms or (ms == low_ms and seq < low_seq) then
		low, low_ms, low_seq = need, ms, seq
	end
	answer[#answer + 1] = g['name']
	answer[#answer + 1] = need
	answer[#answer + 1] = g['pending']
end
if low ~= '' then answer[1] = redis.call('XTRIM', KEYS[1], 'MINID', low) end
answer[2] = redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[1])
answer[1] = answer[1] + answer[2]
return answer
`)

// need is what a consumer group needs of a stream.
type need struct {
	consumer string
	from     position // its first entry not acknowledged
	pending  int64
}

// trim keeps the stream of a partition short and remembers what its groups have
// acknowledged, so that an emptied Redis is filled from there.
func (l *leader) trim(ctx context.Context, part int) error {
	absent, err := l.ledger.absentGroups(ctx, part)
	if err != nil {
		return err
	}
	needs, err := l.trimStream(ctx, part, absent)
	if err != nil {
		return redisError{err}
	}
	state, err := l.ledger.stream(ctx, part)
	if err != nil {
		return err
	}
	for _, n := range needs {
		if n.from.pos < 1 || n.from.after(position{state.last.gen, state.last.pos + 1}) {
			continue // a cursor that some stranger set
		}
		l.metrics.lag.WithLabelValues(fmt.Sprint(part), n.consumer).Set(float64(max(state.last.pos-n.from.pos+1, 0)))
		l.metrics.pending.WithLabelValues(fmt.Sprint(part), n.consumer).Set(float64(n.pending))
		if err := l.ledger.noteGroup(ctx, part, n); err != nil {
			return err
		}
	}
	return nil
}

// absentFor is how long a group may not be seen in Redis before it counts as
// absent; what it needs is kept all the same, up to the cap.
const absentFor = 3 * trimInterval

func (l *leader) trimStream(ctx context.Context, part int, absent string) ([]need, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	stream := StreamName(l.outbox.service, part)
	reply, err := trimScript.Run(ctx, l.redis, []string{stream}, l.outbox.streamCap, absent).Slice()
	if err != nil || len(reply) < 2 {
		return nil, fmt.Errorf("trim %s: %v, %w", stream, reply, err)
	}
	if removed, _ := reply[0].(int64); removed > 0 {
		l.metrics.trimmed.Add(float64(removed))
	}
	if needed, _ := reply[1].(int64); needed > 0 {
		l.metrics.trimmedNeeded.Add(float64(needed))
		l.log.ErrorContext(ctx, "stream was over its cap: a consumer group must catch up from the log",
			"stream", stream, "cap", l.outbox.streamCap, "removed", needed)
	}
	var needs []need
	for i := 2; i+2 < len(reply); i += 3 {
		name, _ := reply[i].(string)
		id, _ := reply[i+1].(string)
		pending, _ := reply[i+2].(int64)
		if from, err := parsePosition(id); err == nil {
			needs = append(needs, need{name, from, pending})
		}
	}
	return needs, nil
}

// absentGroups gives the lowest entry that a group needs which Redis does not
// know at the moment, or "".
func (l ledger) absentGroups(ctx context.Context, part int) (string, error) {
	var p position
	err := l.conn.QueryRow(ctx, `
SELECT gen, pos + 1 FROM event_groups
WHERE part = $1 AND seen_at < now() - $2 * interval '1 second' ORDER BY gen, pos LIMIT 1`,
		part, absentFor.Seconds()).Scan(&p.gen, &p.pos)
	if err == pgx.ErrNoRows {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read consumer groups: %w", err)
	}
	return p.String(), nil
}

func (l ledger) noteGroup(ctx context.Context, part int, n need) error {
	_, err := l.conn.Exec(ctx, `
INSERT INTO event_groups (part, consumer, gen, pos, pending) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (part, consumer) DO UPDATE SET gen = excluded.gen, pos = excluded.pos, pending = excluded.pending, seen_at = now()`,
		part, n.consumer, n.from.gen, n.from.pos-1, n.pending)
	if err != nil {
		return fmt.Errorf("note consumer group: %w", err)
	}
	return nil
}

// acknowledged gives the position up to which every known group has all of a
// partition: from there an empty stream is filled. Without groups it is the
// log's beginning.
func (l ledger) acknowledged(ctx context.Context, part int) (int64, error) {
	var pos int64
	err := l.conn.QueryRow(ctx, `SELECT coalesce(min(pos), 0) FROM event_groups WHERE part = $1`, part).Scan(&pos)
	if err != nil {
		return 0, fmt.Errorf("read consumer groups: %w", err)
	}
	return pos, nil
}

// trimInterval is how often streams are trimmed.
const trimInterval = 5 * time.Second
