package relay

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/internal/backoff"
)

// mover moves committed events from the outbox to their places in the log.
type mover struct {
	r       *Relay
	me      int64
	fresh   *handover
	leads   bool
	retry   atomic.Bool   // check the lease at once
	checked time.Duration // when the lease was checked
	swept   time.Duration
	poll    time.Duration
	trouble backoff.Backoff
}

// MoveStep leads, or tries to, and moves one batch. It returns the wait until the
// next step; a wake-up ends it early.
func (r *Relay) MoveStep(ctx context.Context) time.Duration {
	m := &r.mover
	wait, err := m.step(ctx)
	if err != nil {
		return m.trouble.Failed(ctx, r.log, err)
	}
	m.trouble.Succeeded(ctx, r.log)
	return wait
}

func (m *mover) step(ctx context.Context) (time.Duration, error) {
	if err := m.lead(ctx); err != nil {
		return 0, err
	}
	if !m.leads {
		return leaseCheck, nil
	}
	now := m.r.now()
	sweep := now-m.swept >= time.Second
	moved, full, err := m.r.db.Move(ctx, sweep)
	if err != nil {
		return 0, err
	}
	if sweep {
		m.swept = now
	}
	n := m.fresh.put(moved)
	m.r.metrics.moved.Add(float64(n))
	switch {
	case full:
		return 0, nil
	case n > 0:
		m.poll = pollMin
	default:
		m.poll = min(max(2*m.poll, pollMin), pollMax)
	}
	return m.poll, nil
}

// lead takes or renews the lease when that is due.
func (m *mover) lead(ctx context.Context) error {
	now := m.r.now()
	if !m.retry.Swap(false) && m.checked != 0 && now-m.checked < leaseCheck {
		return nil
	}
	leads, err := m.r.db.Lead(ctx, m.me, leaseTime)
	if err != nil {
		m.setLeads(ctx, false)
		return err
	}
	m.checked = max(now, 1)
	m.setLeads(ctx, leads)
	return nil
}

func (m *mover) setLeads(ctx context.Context, leads bool) {
	m.fresh.lead(leads)
	if leads == m.leads {
		return
	}
	m.leads = leads
	if leads {
		m.r.metrics.leading.Set(1)
		m.r.log.InfoContext(ctx, "became relay leader")
	} else {
		m.r.metrics.leading.Set(0)
		m.r.log.InfoContext(ctx, "no longer relay leader")
	}
}

// resign releases the lease, so that another instance leads at once.
func (m *mover) resign(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if m.leads && m.r.db.Resign(ctx, m.me) == nil {
		m.r.hints.Send(ctx, events.HintStopped) // if this fails, the lease runs out
	}
	m.setLeads(ctx, false)
}

// handover passes events from the mover to the appender, to save reading them back from
// the log. Events that do not fit are dropped and read back.
type handover struct {
	mu     sync.Mutex
	leads  bool
	term   int // counts the beginnings of leadership
	parts  map[int64][]events.Record
	bytes  int
	filled chan struct{}
}

// handoverBytes bounds the events between mover and appender.
const handoverBytes = 4 << 20

// put adds moved and returns the number of events in it.
func (h *handover) put(moved map[int64][]events.Record) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for part, records := range moved {
		n += len(records)
		for _, r := range records {
			h.bytes += len(r.Envelope)
		}
		if have := h.parts[part]; len(have) > 0 && records[0].Follows(have[len(have)-1].Position) {
			records = append(have, records...)
		}
		h.parts[part] = records
	}
	if h.bytes > handoverBytes {
		h.drop()
	}
	if n > 0 {
		select {
		case h.filled <- struct{}{}:
		default:
		}
	}
	return n
}

func (h *handover) drop() { h.parts, h.bytes = map[int64][]events.Record{}, 0 }

// take returns what was put since the last take.
func (h *handover) take() (parts map[int64][]events.Record, leads bool, term int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.parts) > 0 {
		parts = h.parts
		h.drop()
	}
	return parts, h.leads, h.term
}

// leading reports whether this instance leads.
func (h *handover) leading() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leads
}

func (h *handover) lead(leads bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if leads && !h.leads {
		h.term++
		h.drop()
	}
	h.leads = leads
}
