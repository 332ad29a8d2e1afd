package console

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	maxPages  = 16               // connected at once
	writeTime = 10 * time.Second // for a snapshot; a page that does not read loses its place
)

// broadcast sends each snapshot to all connected pages. It is safe for concurrent use.
type broadcast struct {
	mu    sync.Mutex
	pages map[chan []byte]bool
	first chan struct{} // has a value when a page has connected
}

func newBroadcast() *broadcast {
	return &broadcast{pages: map[chan []byte]bool{}, first: make(chan struct{}, 1)}
}

// join adds a page. It returns nil if there are too many.
func (b *broadcast) join() chan []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pages) == maxPages {
		return nil
	}
	page := make(chan []byte, 1)
	b.pages[page] = true
	select {
	case b.first <- struct{}{}:
	default:
	}
	return page
}

func (b *broadcast) leave(page chan []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pages, page)
}

// wait returns when a page is connected, or with the error of ctx.
func (b *broadcast) wait(ctx context.Context) error {
	for {
		b.mu.Lock()
		connected := len(b.pages) > 0
		b.mu.Unlock()
		if connected {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.first:
		}
	}
}

// send gives a snapshot to every page, in the place of one that it has not read yet.
func (b *broadcast) send(snapshot []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for page := range b.pages {
		select {
		case <-page:
		default:
		}
		page <- snapshot
	}
}

// serve sends snapshots as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (b *broadcast) serve(w http.ResponseWriter, r *http.Request) {
	page := b.join()
	if page == nil {
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer b.leave(page)
	w.Header().Set("Content-Type", "text/event-stream")
	connection := http.NewResponseController(w)
	if err := connection.SetReadDeadline(time.Time{}); err != nil { // that of requests would end the stream
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case snapshot := <-page:
			if err := connection.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "data: %s\n\n", snapshot); err != nil {
				return // the page is closed
			}
			if err := connection.Flush(); err != nil {
				return
			}
		}
	}
}
