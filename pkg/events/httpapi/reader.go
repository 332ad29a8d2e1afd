package httpapi

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/serviceclient"
)

// ClientConfig is that of a client that reads a producer's log. It has a breaker of
// its own: a log that cannot be read does not affect other calls.
var ClientConfig = serviceclient.Config{MaxBody: maxPage, Background: true, Breaker: breaker.Config{Cooldown: time.Second}}

// Reader reads the logs of other services over HTTP. It is an [events.Source] and as
// safe for concurrent use as the clients.
type Reader struct {
	// Client returns the client for a producer's log; it should have ClientConfig.
	Client func(producer string) *serviceclient.Client
}

// Ask implements [events.Source].
func (r Reader) Ask(ctx context.Context, producer string, questions []events.Question) ([]events.Part, error) {
	in := askRequest{Questions: make([]question, len(questions))}
	for i, q := range questions {
		in.Questions[i] = question(q)
	}
	answer, err := serviceclient.Post[askAnswer](ctx, r.Client(producer), askPath, in)
	if err != nil {
		return nil, ErrNoProducer.With(err)
	}
	return answer.Parts, nil
}

// Read implements [events.Source].
func (r Reader) Read(ctx context.Context, producer string, part, pos int64) (events.Page, error) {
	page, err := serviceclient.Get[events.Page](ctx, r.Client(producer), fmt.Sprintf("%s?part=%d&after=%d", pagePath, part, pos))
	if err != nil {
		return page, ErrNoProducer.With(err)
	}
	return page, nil
}

// Seek implements [events.Source].
func (r Reader) Seek(ctx context.Context, producer string, part int64, t time.Time) (int64, error) {
	path := fmt.Sprintf("%s?part=%d&since=%s", seekPath, part, url.QueryEscape(t.UTC().Format(time.RFC3339Nano)))
	answer, err := serviceclient.Get[seekAnswer](ctx, r.Client(producer), path)
	if err != nil {
		return 0, ErrNoProducer.With(err)
	}
	return answer.After, nil
}
