package httpapi

import (
	"math"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
)

const (
	askPath  = "/events/log/ask"
	pagePath = "/events/log"
	seekPath = "/events/log/position"

	logReaders = 4 // requests for the log in progress in one instance
	placeWait  = 100 * time.Millisecond
	maxPage    = 8 << 20 // bytes of a page as JSON, in which escaped characters are longer
)

// Errors of the event log's routes.
var (
	ErrLogBusy    = fault.New(fault.Unavailable, fault.CodeEventLogBusy, "Too many readers of the event log").WithRetryAfter(time.Second)
	ErrNoProducer = fault.New(fault.Unavailable, "producer_unavailable", "The producer's event log cannot be read").
			WithRetryAfter(time.Second)
	ErrOldEvents = fault.New(fault.Conflict, "old_events", "Events of an older release wait; try again in a moment")
)

// ServeLog adds the routes by which any service reads the log of this one. They have
// a separate limit: at most 4 requests at a time; others wait for 100 ms and get 503.
func ServeLog(s *httpserver.Server, log *postgres.Log) {
	r, anyone := s.Router(), httpserver.Callers(httpserver.AnyCaller).Unlimited()
	places := make(chan struct{}, logReaders)
	limited := func(h func(*gin.Context) error) gin.HandlerFunc {
		return httpserver.Handle(func(g *gin.Context) error {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				return h(g)
			case <-time.After(placeWait):
				return ErrLogBusy
			}
		})
	}
	l := eventLog{log}
	r.POST(askPath, anyone, limited(l.ask))
	r.GET(pagePath, anyone, limited(l.page))
	r.GET(seekPath, anyone, limited(l.seek))
}

// eventLog serves a producer's log.
type eventLog struct{ *postgres.Log }

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
	var part, after int64
	if err := httpserver.BindQuery(g, required("part", &part), required("after", &after)); err != nil {
		return err
	}
	page, err := l.Page(g.Request.Context(), part, after)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, page)
}

// seekAnswer is the response of GET /events/log/position.
type seekAnswer struct {
	After int64 `json:"after"`
}

func (l eventLog) seek(g *gin.Context) error {
	var part int64
	var since time.Time
	err := httpserver.BindQuery(g, required("part", &part),
		httpserver.Require(httpserver.TimeParam("since", func(at time.Time) { since = at })))
	if err != nil {
		return err
	}
	after, err := l.Seek(g.Request.Context(), part, since)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, seekAnswer{after})
}

// required returns a parameter that is a number from 0.
func required(name string, n *int64) httpserver.Param {
	return httpserver.Require(number(name, n))
}

func number(name string, n *int64) httpserver.Param {
	return httpserver.IntParam(name, 0, math.MaxInt64, func(value int64) { *n = value })
}
