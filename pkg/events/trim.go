package events

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// trimScript removes from the stream KEYS[1] what every consumer group has
// acknowledged. ARGV is the most entries that may stay whatever the groups need,
// and then name and needed id of each group that is registered: one that is not
// there now still needs what it did. It answers how many entries were removed, how
// many of those were needed, and name, needed id and pending entries of each group
// that is there.
//
// A group needs its oldest pending entry, or what comes after its last delivered
// one. It all happens in one script: between looking and trimming nothing moves.
var trimScript = redis.NewScript(`
local function parse(id)
	local ms, seq = string.match(id, '^(%d+)-(%d+)$')
	return tonumber(ms), tonumber(seq)
end
local low, low_ms, low_seq = '', nil, nil
local function lower(need)
	local ms, seq = parse(need)
	if low_ms == nil or ms < low_ms or (ms == low_ms and seq < low_seq) then
		low, low_ms, low_seq = need, ms, seq
	end
end
local registered = {}
for i = 2, #ARGV, 2 do registered[ARGV[i]] = ARGV[i + 1] end
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return {0, 0} end
local answer = {0, 0}
for _, group in ipairs(groups) do
	local g = {}
	for i = 1, #group, 2 do g[group[i]] = group[i + 1] end
	local ms, seq = parse(g['last-delivered-id'])
	seq = seq + 1
	local need = string.format('%.0f-%.0f', ms, seq)
	if g['pending'] > 0 then need = redis.call('XPENDING', KEYS[1], g['name'])[2] end
	lower(need)
	registered[g['name']] = nil
	answer[#answer + 1] = g['name']
	answer[#answer + 1] = need
	answer[#answer + 1] = g['pending']
end
for _, need in pairs(registered) do lower(need) end
if low ~= '' then answer[1] = redis.call('XTRIM', KEYS[1], 'MINID', low) end
answer[2] = redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[1])
answer[1] = answer[1] + answer[2]
return answer
`)

// need is what a consumer group needs of a stream.
type need struct {
	part     int
	consumer string
	from     position // its first entry not acknowledged
	pending  int64
}

// trim keeps the streams short and remembers what their groups have
// acknowledged, so that an emptied Redis is filled from there.
func (l *leader) trim(ctx context.Context) error {
	if err := l.ledger.makeStreams(ctx, l.outbox.partitions); err != nil {
		return err
	}
	registered, err := l.ledger.registeredGroups(ctx)
	if err != nil {
		return err
	}
	var needs []need
	for part := range l.tails {
		found, err := l.trimStream(ctx, part, registered[part])
		if err != nil {
			return redisError{err}
		}
		needs = append(needs, found...)
	}
	states, err := l.ledger.streams(ctx)
	if err != nil {
		return err
	}
	ends := map[int]position{}
	for _, s := range states {
		ends[s.part] = s.last
	}
	needs = slices.DeleteFunc(needs, func(n need) bool { // a cursor that some stranger set
		end := ends[n.part]
		return n.from.pos < 1 || n.from.after(position{end.gen, end.pos + 1})
	})
	for _, n := range needs {
		part := strconv.Itoa(n.part)
		l.metrics.lag.WithLabelValues(part, n.consumer).Set(float64(max(ends[n.part].pos-n.from.pos+1, 0)))
		l.metrics.pending.WithLabelValues(part, n.consumer).Set(float64(n.pending))
	}
	return l.ledger.noteGroups(ctx, needs)
}

func (l *leader) trimStream(ctx context.Context, part int, registered []any) ([]need, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	stream := StreamName(l.outbox.service, part)
	reply, err := trimScript.Run(ctx, l.redis, []string{stream}, append([]any{l.outbox.streamCap}, registered...)...).Slice()
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
			needs = append(needs, need{part, name, from, pending})
		}
	}
	return needs, nil
}

// registeredGroups gives, by partition, the name of each group that was ever seen
// and the first entry that it needs.
func (l *ledger) registeredGroups(ctx context.Context) (map[int][]any, error) {
	rows, err := l.conn.Query(ctx, `SELECT part, consumer, gen, pos + 1 FROM event_groups`)
	if err != nil {
		return nil, fmt.Errorf("read consumer groups: %w", err)
	}
	groups := map[int][]any{}
	var part int
	var name string
	var p position
	_, err = pgx.ForEachRow(rows, []any{&part, &name, &p.gen, &p.pos}, func() error {
		groups[part] = append(groups[part], name, p.String())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read consumer groups: %w", err)
	}
	return groups, nil
}

// noteGroups remembers what groups need. Nobody waits for the disk: after a
// crash an older note only has more appended again.
func (l *ledger) noteGroups(ctx context.Context, needs []need) error {
	batch := &pgx.Batch{}
	batch.Queue(`SELECT set_config('synchronous_commit', 'off', true)`)
	for _, n := range needs {
		batch.Queue(`
INSERT INTO event_groups (part, consumer, gen, pos, pending) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (part, consumer) DO UPDATE SET gen = excluded.gen, pos = excluded.pos, pending = excluded.pending, seen_at = now()`,
			n.part, n.consumer, n.from.gen, n.from.pos-1, n.pending)
	}
	if err := l.conn.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("note consumer groups: %w", err)
	}
	return nil
}

// acknowledged gives the position up to which every known group has all of a
// partition: from there an empty stream is filled. Without groups it is the
// log's beginning.
func (l *ledger) acknowledged(ctx context.Context, part int) (int64, error) {
	var pos int64
	err := l.conn.QueryRow(ctx, `SELECT coalesce(min(pos), 0) FROM event_groups WHERE part = $1`, part).Scan(&pos)
	if err != nil {
		return 0, fmt.Errorf("read consumer groups: %w", err)
	}
	return pos, nil
}

// trimInterval is how often streams are trimmed.
const trimInterval = 5 * time.Second
