package chassis

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
)

// operator is the caller that people's tools sign as.
const operator = "gateway"

// operateEvents adds the routes by which a person looks after the consumer.
func (c *Chassis) operateEvents() {
	r, people := c.HTTP.Router(), c.HTTP.Callers(operator)
	r.GET("/events/status", people, httpserver.Handle(c.eventStatus))
	r.GET("/events/parked", people, httpserver.Handle(c.listParked))
	r.POST("/events/redrive", people, httpserver.Handle(c.redrive))
	r.POST("/events/discard", people, httpserver.Handle(c.discard))
	r.POST("/events/replay", people, httpserver.Handle(c.replay))
	r.POST("/events/pause", people, httpserver.Handle(c.pause))
	r.POST("/events/resume", people, httpserver.Handle(c.resume))
}

// groupList is what GET /events/groups answers.
type groupList struct {
	Items []events.Group `json:"items"`
}

func (c *Chassis) listGroups(g *gin.Context) error {
	groups, err := c.relay.Groups(g.Request.Context())
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, groupList{groups})
}

type forgetRequest struct {
	Consumer string `json:"consumer" validate:"required,max=100"`
}

func (c *Chassis) forgetGroup(g *gin.Context) error {
	in, err := httpserver.Bind[forgetRequest](g)
	if err != nil {
		return err
	}
	if err := c.relay.Forget(g.Request.Context(), in.Consumer); err != nil {
		return err
	}
	return httpserver.NoContent(g)
}

func (c *Chassis) eventStatus(g *gin.Context) error {
	status, err := c.consumer.Status(g.Request.Context())
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, status)
}

// parkedPage is what GET /events/parked answers; next, if not 0, is the after
// of the page behind it.
type parkedPage struct {
	Items []events.Parked `json:"items"`
	Next  int64           `json:"next,omitzero"`
}

const parkedLimit = 100

func (c *Chassis) listParked(g *gin.Context) error {
	after := int64(0)
	if g.Query("after") != "" {
		var err error
		if after, err = queryInt(g, "after", 0, 1<<62); err != nil {
			return err
		}
	}
	state := g.Query("state")
	if state != "" && state != "waiting" && state != "dead" && state != "discarded" {
		return ErrInvalidQuery.WithFields(fault.Field{Name: "state", Message: "must be waiting, dead or discarded"})
	}
	items, err := c.consumer.Parked(g.Request.Context(), state, after, parkedLimit)
	if err != nil {
		return err
	}
	page := parkedPage{Items: items}
	if len(items) == parkedLimit {
		page.Next = items[len(items)-1].Number
	}
	return httpserver.JSON(g, http.StatusOK, page)
}

// selection names parked events: one by its id, those of a type, or all.
type selection struct {
	ID    string `json:"id" validate:"omitempty,uuid"`
	Event string `json:"event" validate:"max=200"`
	All   bool   `json:"all"`
}

// ErrNothingSelected is answered to a request that would mean all by accident.
var ErrNothingSelected = fault.New(fault.Malformed, "nothing_selected", "Name an id, an event, or all")

func (s selection) parse() (events.Selection, error) {
	if s.ID == "" && s.Event == "" && !s.All {
		return events.Selection{}, ErrNothingSelected
	}
	id := uuid.Nil
	if s.ID != "" {
		id = uuid.MustParse(s.ID) // validated
	}
	return events.Selection{ID: id, Event: s.Event}, nil
}

// count is how many events a command concerned.
type count struct {
	Events int64 `json:"events"`
}

func (c *Chassis) redrive(g *gin.Context) error {
	in, err := httpserver.Bind[selection](g)
	if err != nil {
		return err
	}
	s, err := in.parse()
	if err != nil {
		return err
	}
	n, err := c.consumer.Redrive(g.Request.Context(), s)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, count{n})
}

type discardRequest struct {
	ID     string `json:"id" validate:"omitempty,uuid"`
	Event  string `json:"event" validate:"max=200"`
	All    bool   `json:"all"`
	Reason string `json:"reason" validate:"required,notblank,max=1000"`
}

func (c *Chassis) discard(g *gin.Context) error {
	in, err := httpserver.Bind[discardRequest](g)
	if err != nil {
		return err
	}
	s, err := selection{in.ID, in.Event, in.All}.parse()
	if err != nil {
		return err
	}
	n, err := c.consumer.Discard(g.Request.Context(), s, in.Reason)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, count{n})
}

type replayRequest struct {
	Service   string     `json:"service" validate:"required"`
	Partition *int       `json:"partition" validate:"omitempty,min=0"`
	Position  *int64     `json:"position" validate:"omitempty,min=0"` // replay what is behind it
	Since     *time.Time `json:"since"`
}

// ErrReplayFrom is answered to a replay without a beginning, or with two.
var ErrReplayFrom = fault.New(fault.Malformed, "replay_from", "Name either a position or a time to replay from")

func (c *Chassis) replay(g *gin.Context) error {
	in, err := httpserver.Bind[replayRequest](g)
	if err != nil {
		return err
	}
	if (in.Position == nil) == (in.Since == nil) {
		return ErrReplayFrom
	}
	part, from := -1, events.From{}
	if in.Partition != nil {
		part = *in.Partition
	}
	if in.Position != nil {
		from.Position = *in.Position
	} else {
		from.Since = *in.Since
	}
	n, err := c.consumer.Replay(g.Request.Context(), in.Service, part, from)
	if err != nil {
		return err
	}
	return httpserver.JSON(g, http.StatusOK, count{n})
}

func (c *Chassis) pause(g *gin.Context) error {
	if err := c.consumer.Pause(g.Request.Context()); err != nil {
		return err
	}
	return httpserver.NoContent(g)
}

func (c *Chassis) resume(g *gin.Context) error {
	if err := c.consumer.Resume(g.Request.Context()); err != nil {
		return err
	}
	return httpserver.NoContent(g)
}
