package console

import (
	"slices"
)

// describe adds what the services report to the snapshot.
func (c *Console) describe(snap *snapshot, all []*observed) {
	for _, o := range all {
		snap.Services = append(snap.Services, c.service(o))
		snap.Edges = append(snap.Edges, c.edges(o)...)
		for _, p := range o.parts {
			r := o.readings[p.Name]
			for _, target := range r.targets() {
				b := r.breakers[target]
				b.Instance, b.Service = p.Name, o.name
				snap.Breakers = append(snap.Breakers, b)
			}
		}
		if o.consumes {
			snap.Streams = append(snap.Streams, streams(o, all)...)
			snap.Dead = append(snap.Dead, o.dead...)
		}
	}
	withoutCalls(snap.Edges)
}

// withoutCalls subtracts what other services have sent from what a service got from clients.
func withoutCalls(edges []edge) {
	for _, e := range edges {
		for i := range edges {
			if client := &edges[i]; e.Kind == "http" && e.From != "client" && client.From == "client" && client.To == e.To {
				client.Rate = above(client.Rate, e.Rate)
				client.Failed = above(client.Failed, e.Failed)
			}
		}
	}
}

// above returns by how much a rate is above another, 0 if that is less than what is shown.
func above(rate, other float64) float64 {
	if rate-other < 0.05 {
		return 0
	}
	return rate - other
}

// service sums the instances of a service.
func (c *Console) service(o *observed) service {
	s := service{Name: o.name}
	var seconds float64
	for _, p := range o.parts {
		s.Instances = append(s.Instances, instance{
			Name: p.Name, State: p.State, Detail: p.Detail, PID: p.PID, Port: p.Port, RSS: p.RSS, UpMS: p.UptimeMS,
		})
		r, ok := o.readings[p.Name]
		if !ok {
			continue
		}
		s.Rate += c.history.rate(p.Name, func(r reading) float64 { return r.served })
		s.Errors += c.history.rate(p.Name, func(r reading) float64 { return r.failed })
		seconds += c.history.rate(p.Name, func(r reading) float64 { return r.seconds })
		s.PoolUsed, s.PoolMax = s.PoolUsed+r.poolUsed, s.PoolMax+r.poolMax
		s.Backlog = max(s.Backlog, r.backlog)
	}
	if s.Rate > 0 {
		s.Millis = seconds / s.Rate * 1000
	}
	s.Health = healthOf(s.Instances, len(o.readings), s.Rate, s.Errors)
	return s
}

// edges returns what flows into and out of a service: requests of clients, calls of other
// services, events.
func (c *Console) edges(o *observed) []edge {
	client := edge{From: "client", To: o.name, Kind: "http"}
	published := edge{From: o.name, To: "redis", Kind: "event"}
	handled := edge{From: "redis", To: o.name, Kind: "event"}
	calls := map[string]edge{}
	for _, p := range o.parts {
		client.Rate += c.history.rate(p.Name, func(r reading) float64 { return r.served })
		client.Failed += c.history.rate(p.Name, func(r reading) float64 { return r.failed })
		published.Rate += c.history.rate(p.Name, func(r reading) float64 { return r.appended })
		handled.Rate += c.history.rate(p.Name, func(r reading) float64 { return r.handled })
		for _, target := range o.readings[p.Name].targets() {
			e := calls[target]
			e.Rate += c.history.rate(p.Name, func(r reading) float64 { return r.calls[target] })
			e.Failed += c.history.rate(p.Name, func(r reading) float64 { return r.callsFailed[target] })
			calls[target] = e
		}
	}
	all := []edge{client}
	for target, e := range calls {
		all = append(all, edge{From: o.name, To: target, Kind: "http", Rate: e.Rate, Failed: e.Failed})
	}
	if o.producer {
		all = append(all, published)
	}
	if o.consumes {
		all = append(all, handled)
	}
	return all
}

// streams returns what a consumer has read of each producer's log.
func streams(o *observed, all []*observed) []stream {
	var found []stream
	for _, producer := range all {
		s := stream{
			Producer: producer.name, Consumer: o.name, Paused: o.Paused,
			Dead: o.Parked["dead"], Parked: o.Parked["waiting"] + o.Parked["ahead"],
		}
		for _, p := range producer.heads {
			pos, reads := o.position(producer.name, p.Part)
			if !reads {
				continue
			}
			s.Partitions++
			s.Events += p.Head.Pos - p.Base.Pos
			s.Lag += max(0, p.Head.Pos-pos)
		}
		for _, r := range producer.readings {
			s.Pending = max(s.Pending, r.backlog)
		}
		reads := func(offset offset) bool { return offset.Service == producer.name }
		if slices.ContainsFunc(o.Offsets, reads) {
			found = append(found, s)
		}
	}
	return found
}
