package chassis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceclient"
)

const (
	askPath  = "/events/log/ask"
	pagePath = "/events/log"
	seekPath = "/events/log/position"

	logReaders = 4       // requests for the log that one instance answers at a time
	logAnswer  = 8 << 20 // bytes of a page as JSON, at most: escapes are longer than what they stand for
)

// Errors of the event log's routes.
var (
	ErrInvalidQuery = fault.New(fault.Malformed, "invalid_query", "Invalid query")
	ErrLogBusy      = fault.New(fault.Unavailable, "event_log_busy", "Too many readers of the event log").WithRetryAfter(time.Second)
	ErrNoProducer   = fault.New(fault.Unavailable, "producer_unavailable", "The producer's event log cannot be read").WithRetryAfter(time.Second)
	ErrOldEvents    = fault.New(fault.Conflict, "old_events", "Events of an older release wait; try again in a moment")
)

// serveLog adds the routes of the producer's log: for any service, to read what
// Redis does not have, and on the admin port to change the number of partitions.
func (c *Chassis) serveLog(log *relay.Postgres) {
	r := c.HTTP.Router().Group("/", httpserver.OwnLimit(), c.HTTP.Callers(httpserver.AnyCaller))
	places := make(chan struct{}, logReaders)
	limited := func(h func(*gin.Context) error) gin.HandlerFunc {
		return httpserver.Handle(func(g *gin.Context) error {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				return h(g)
			default:
				return ErrLogBusy
			}
		})
	}
	l := eventLog{log}
	r.POST(askPath, limited(l.ask))
	r.GET(pagePath, limited(l.page))
	r.GET(seekPath, limited(l.seek))
	c.operate.Router().POST("/events/partitions", c.operate.Callers(operator), httpserver.Handle(l.repartition))
}

// eventLog answers requests for a producer's log.
type eventLog struct{ *relay.Postgres }

type askRequest struct {
	Questions []question `json:"questions" validate:"max=1024,dive"`
}

type question struct {
	Part   int64             `json:"part,string"`
	Places []events.Position `json:"places" validate:"max=33"`
}

type askAnswer struct {
	Parts []events.Part `json:"parts"`
}

func (l eventLog) ask(g *gin.Context) error {
	in, err := httpserver.Bind[askRequest](g)
	if err != nil {
		return err
	}
	questions := make([]events.Question, len(in.Questions))
	for i, q := range in.Questions {
		questions[i] = events.Question(q)
	}
	parts, err := l.Ask(g.Request.Context(), questions)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, askAnswer{parts})
}

func (l eventLog) page(g *gin.Context) error {
	part, err := queryInt(g, "part")
	if err != nil {
		return err
	}
	after, err := queryInt(g, "after")
	if err != nil {
		return err
	}
	page, err := l.Page(g.Request.Context(), part, after)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, page)
}

// seekAnswer is what GET /events/log/position answers.
type seekAnswer struct {
	After int64 `json:"after"`
}

func (l eventLog) seek(g *gin.Context) error {
	part, err := queryInt(g, "part")
	if err != nil {
		return err
	}
	since, err := time.Parse(time.RFC3339, g.Query("since"))
	if err != nil {
		return ErrInvalidQuery.WithFields(fault.Field{Name: "since", Message: "must be a time as of RFC 3339"})
	}
	after, err := l.Seek(g.Request.Context(), part, since)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, seekAnswer{after})
}

func queryInt(g *gin.Context, name string) (int64, error) {
	n, err := strconv.ParseInt(g.Query(name), 10, 64)
	if err != nil || n < 0 {
		return 0, ErrInvalidQuery.WithFields(fault.Field{Name: name, Message: "must be a number from 0"})
	}
	return n, nil
}

type repartitionRequest struct {
	Count int `json:"count" validate:"required,min=1,max=256"`
}

// layoutAnswer is what POST /events/partitions answers.
type layoutAnswer struct {
	Layout int64 `json:"layout"`
}

func (l eventLog) repartition(g *gin.Context) error {
	in, err := httpserver.Bind[repartitionRequest](g)
	if err != nil {
		return err
	}
	layout, err := l.Repartition(g.Request.Context(), in.Count)
	if errors.Is(err, relay.ErrOldRows) {
		err = ErrOldEvents.With(err)
	}
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, layoutAnswer{layout})
}

// eventLogs reads other services' logs over HTTP; see [events.Source]. It is a
// Chassis.
type eventLogs Chassis

// logClient returns a client with a breaker of its own: that a log cannot be read
// says nothing about other calls.
func (l *eventLogs) logClient(producer string) *serviceclient.Client {
	c := (*Chassis)(l)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.client(c.logs, producer, serviceclient.Config{MaxBody: logAnswer, Breaker: breaker.Config{Cooldown: time.Second}})
}

// Ask implements [events.Source].
func (l *eventLogs) Ask(ctx context.Context, producer string, questions []events.Question) ([]events.Part, error) {
	in := askRequest{Questions: make([]question, len(questions))}
	for i, q := range questions {
		in.Questions[i] = question(q)
	}
	answer, err := serviceclient.Post[askAnswer](ctx, l.logClient(producer), askPath, in)
	if err != nil {
		return nil, ErrNoProducer.With(err)
	}
	return answer.Parts, nil
}

// Read implements [events.Source].
func (l *eventLogs) Read(ctx context.Context, producer string, part, pos int64) (events.Page, error) {
	page, err := serviceclient.Get[events.Page](ctx, l.logClient(producer), fmt.Sprintf("%s?part=%d&after=%d", pagePath, part, pos))
	if err != nil {
		return page, ErrNoProducer.With(err)
	}
	return page, nil
}

// Seek implements [events.Source].
func (l *eventLogs) Seek(ctx context.Context, producer string, part int64, t time.Time) (int64, error) {
	path := fmt.Sprintf("%s?part=%d&since=%s", seekPath, part, url.QueryEscape(t.UTC().Format(time.RFC3339Nano)))
	answer, err := serviceclient.Get[seekAnswer](ctx, l.logClient(producer), path)
	if err != nil {
		return 0, ErrNoProducer.With(err)
	}
	return answer.After, nil
}
