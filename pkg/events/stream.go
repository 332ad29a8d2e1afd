package events

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Fields of a stream entry.
const (
	fieldID       = "id"       // the event's id, to compare without parsing
	fieldEnvelope = "envelope" // the envelope, in JSON
)

// record is one event at its position, as it stands in event_log.
type record struct {
	at       position
	id       string
	envelope string
}

// appendScript appends entries to the stream KEYS[1] if its last id is ARGV[1],
// and stops at the first that is refused. The rest of ARGV is id, event id and
// envelope of each entry. It answers how many were appended, the last id and
// what stopped it.
//
// The last id of a stream survives trimming and deleting entries; a stream that
// is gone answers 0-0.
var appendScript = redis.NewScript(`
local last = '0-0'
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if info.err then
	if not string.find(info.err, 'no such key') then return {0, '', info.err} end
else
	for i = 1, #info, 2 do
		if info[i] == 'last-generated-id' then last = info[i + 1] end
	end
end
if last ~= ARGV[1] then return {0, last, ''} end
local n = 0
for i = 2, #ARGV, 3 do
	local added = redis.pcall('XADD', KEYS[1], ARGV[i], 'id', ARGV[i + 1], 'envelope', ARGV[i + 2])
	if type(added) == 'table' and added.err then return {n, last, added.err} end
	last = ARGV[i]
	n = n + 1
end
return {n, last, ''}
`)

// appendResult is the answer of a compare-and-append.
type appendResult struct {
	appended int
	last     string // the stream's last id now
}

// compareAndAppend appends records to the stream if its last id is expected.
// With none to append it only reads the last id.
func compareAndAppend(ctx context.Context, rdb redis.UniversalClient, stream, expected string, records []record) (appendResult, error) {
	argv := make([]any, 1, 1+3*len(records))
	argv[0] = expected
	for _, r := range records {
		argv = append(argv, r.at.String(), r.id, r.envelope)
	}
	reply, err := appendScript.Run(ctx, rdb, []string{stream}, argv...).Slice()
	if err != nil {
		return appendResult{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	n, okN := reply[0].(int64)
	last, okLast := reply[1].(string)
	refusal, okRefusal := reply[2].(string)
	switch {
	case !okN || !okLast || !okRefusal:
		return appendResult{}, fmt.Errorf("append to %s: unexpected reply %v", stream, reply)
	case refusal != "":
		return appendResult{}, fmt.Errorf("append to %s: %s", stream, refusal)
	}
	return appendResult{int(n), last}, nil
}

// lastEntries gives the newest n entries of a stream, newest first. Of a stream
// that is gone there are none.
func lastEntries(ctx context.Context, rdb redis.UniversalClient, stream, end string, n int64) ([]redis.XMessage, error) {
	entries, err := rdb.XRevRangeN(ctx, stream, end, "-", n).Result()
	if err != nil {
		return nil, fmt.Errorf("read end of %s: %w", stream, err)
	}
	return entries, nil
}
