package httpapi

import (
	_ "embed"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/text"
)

// OperatorAPI is the OpenAPI document of the operator's routes.
//
//go:embed operator.yaml
var OperatorAPI []byte

// OperatorTimeout is the longest that an operator's request may take: a redrive waits
// for a handler.
const OperatorTimeout = 35 * time.Second

// ServePartitions adds the route that changes the number of partitions of the
// service's own log. Only the operator may use it.
func ServePartitions(s *httpserver.Server, log *postgres.Log) {
	s.Router().POST("/events/partitions", httpserver.Callers(serviceauth.Operator), httpserver.Handle(eventLog{log}.repartition))
}

// ServeOperator adds the routes by which an operator looks after a consumer. Only the
// operator may use them.
func ServeOperator(s *httpserver.Server, o *admin.Operator) {
	r, allowed, h := s.Router(), httpserver.Callers(serviceauth.Operator), operator{o}
	r.GET("/events/status", allowed, httpserver.Handle(h.status))
	r.GET("/events/parked", allowed, httpserver.Handle(h.parked))
	r.POST("/events/redrive", allowed, httpserver.Handle(h.redrive))
	r.POST("/events/discard", allowed, httpserver.Handle(h.discard))
	r.POST("/events/replay", allowed, httpserver.Handle(h.replay))
	r.POST("/events/pause", allowed, httpserver.Handle(h.pause))
	r.POST("/events/resume", allowed, httpserver.Handle(h.resume))
}

// operator serves an operator's requests.
type operator struct{ *admin.Operator }

func (o operator) status(g *gin.Context) error {
	status, err := o.Status(g.Request.Context())
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, status)
}

// parkedPage is the response of GET /events/parked; next, if not 0, is the after
// of the page behind it.
type parkedPage struct {
	Items []admin.Parked `json:"items"`
	Next  int64          `json:"next,omitzero"`
}

const parkedLimit = 100

func (o operator) parked(g *gin.Context) error {
	var after int64
	var state string
	byState := httpserver.Param{Name: "state", Take: func(value string) string {
		if !slices.Contains(admin.States, value) {
			return "must be one of: " + strings.Join(admin.States, ", ")
		}
		state = value
		return ""
	}}
	err := httpserver.BindQuery(g, number("after", &after), byState)
	if err != nil {
		return err
	}
	items, err := o.Parked(g.Request.Context(), state, after, parkedLimit)
	if err != nil {
		return err
	}
	page := parkedPage{Items: items}
	if len(items) == parkedLimit {
		page.Next = items[len(items)-1].Number
	}
	return httpserver.JSON(g, http.StatusOK, page)
}

// selectRequest names parked events: one by its id, those of a type, or all.
type selectRequest struct {
	ID    *uuid.UUID `json:"id"`
	Event string     `json:"event" validate:"max=200"`
	All   bool       `json:"all"`
}

func (r selectRequest) selection() admin.Selection { return admin.Selection(r) }

// count is how many events a command concerned.
type count struct {
	Events int64 `json:"events"`
}

func (o operator) redrive(g *gin.Context) error {
	in, err := httpserver.Bind[selectRequest](g)
	if err != nil {
		return err
	}
	n, err := o.Redrive(g.Request.Context(), in.selection())
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, count{n})
}

type discardRequest struct {
	selectRequest
	Reason reason `json:"reason" validate:"required"`
}

// reason is a text for the log.
type reason string

const maxReason = 1000

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *reason) UnmarshalText(b []byte) error {
	clean, err := text.Line(string(b), maxReason)
	*r = reason(clean)
	return err
}

func (o operator) discard(g *gin.Context) error {
	in, err := httpserver.Bind[discardRequest](g)
	if err != nil {
		return err
	}
	n, err := o.Discard(g.Request.Context(), in.selection(), string(in.Reason))
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, count{n})
}

type replayRequest struct {
	Service   string     `json:"service" validate:"required"`
	Partition *int64     `json:"partition,string" validate:"omitempty,min=0"`
	Position  *int64     `json:"position" validate:"omitempty,min=0"` // replay the events after it
	Since     *time.Time `json:"since"`
	Unseen    bool       `json:"unseen"`
}

func (o operator) replay(g *gin.Context) error {
	in, err := httpserver.Bind[replayRequest](g)
	if err != nil {
		return err
	}
	n, err := o.Replay(g.Request.Context(), admin.Replay(in))
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, count{n})
}

func (o operator) pause(g *gin.Context) error {
	if err := o.Pause(g.Request.Context()); err != nil {
		return err
	}
	return httpserver.NoContent(g)
}

func (o operator) resume(g *gin.Context) error {
	if err := o.Resume(g.Request.Context()); err != nil {
		return err
	}
	return httpserver.NoContent(g)
}

type repartitionRequest struct {
	Count int `json:"count" validate:"required,min=1,max=256"`
}

// layoutAnswer is the response of POST /events/partitions.
type layoutAnswer struct {
	Layout int64 `json:"layout"`
}

func (l eventLog) repartition(g *gin.Context) error {
	in, err := httpserver.Bind[repartitionRequest](g)
	if err != nil {
		return err
	}
	layout, err := l.Repartition(g.Request.Context(), in.Count)
	if errors.Is(err, postgres.ErrOldRows) {
		err = ErrOldEvents.With(err)
	}
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, layoutAnswer{layout})
}
