package events

import (
	"fmt"
	"strconv"
	"strings"
)

// position is where an event stands in its partition. As an entry id of the
// Redis stream it reads "<gen>-<pos>". Positions count from 1 without a gap and
// go on through generations; a generation begins when the stream holds what the
// database does not know, so that the ids already used cannot be used again.
type position struct{ gen, pos int64 }

func (p position) String() string {
	return strconv.FormatInt(p.gen, 10) + "-" + strconv.FormatInt(p.pos, 10)
}

// after reports whether p lies behind q in the stream.
func (p position) after(q position) bool {
	return p.gen > q.gen || (p.gen == q.gen && p.pos > q.pos)
}

// parsePosition reads an entry id. Redis ids are unsigned; one that does not
// fit was not made here.
func parsePosition(id string) (position, error) {
	gen, pos, ok := strings.Cut(id, "-")
	if !ok {
		return position{}, fmt.Errorf("entry id %q has no dash", id)
	}
	g, err := strconv.ParseInt(gen, 10, 64)
	if err != nil {
		return position{}, fmt.Errorf("parse entry id: %w", err)
	}
	p, err := strconv.ParseInt(pos, 10, 64)
	if err != nil {
		return position{}, fmt.Errorf("parse entry id: %w", err)
	}
	return position{g, p}, nil
}
