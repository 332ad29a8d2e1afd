package docker

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// container is a container in the output of docker inspect.
type container struct {
	ID    string
	State struct {
		Status    string
		Pid       int
		ExitCode  int
		StartedAt time.Time
		Health    *struct {
			Status string
			Log    []struct {
				End      time.Time
				ExitCode int
			}
		}
	}
	Config          struct{ Labels map[string]string }
	NetworkSettings struct {
		Ports map[string][]struct{ HostPort string }
	}
}

// memory returns the resident bytes of a container's processes if they are this
// machine's own, and not those of another or of a virtual one: docker stats would
// take two seconds.
func memory(pid int, id string) int64 {
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !strings.Contains(string(group), id) {
		return 0
	}
	return process.Memory(pid)
}

// finished is the detail of a container that ran to its end, such as a migration.
const finished = "done, exit status 0"

// ParseInspect reads the output of docker inspect. A service's port is the host's port
// that leads to the port of its service.yaml, whichever container publishes that: the
// load balancer's.
func ParseInspect(text []byte, services []checkout.Service, now time.Time) ([]stack.Part, error) {
	var containers []container
	if err := json.Unmarshal(text, &containers); err != nil {
		return nil, fmt.Errorf("decode the output of docker inspect: %w", err)
	}
	replicas, published := map[string]int{}, map[string]int{}
	for _, c := range containers {
		replicas[c.service()]++
		for port, hosts := range c.NetworkSettings.Ports {
			if len(hosts) > 0 {
				published[port], _ = strconv.Atoi(hosts[0].HostPort)
			}
		}
	}
	var parts []stack.Part
	for _, c := range containers {
		p := c.part(now)
		if replicas[p.Service] > 1 {
			p.Name += "-" + c.Config.Labels["com.docker.compose.container-number"]
		}
		for _, service := range services {
			if service.Name != p.Service {
				continue
			}
			if port := published[strconv.Itoa(service.Port)+"/tcp"]; port > 0 {
				p.Port, p.URL = port, "http://127.0.0.1:"+strconv.Itoa(port)
			}
			if own := c.NetworkSettings.Ports[strconv.Itoa(service.AdminPort)+"/tcp"]; len(own) > 0 {
				p.AdminPort, _ = strconv.Atoi(own[0].HostPort)
			}
		}
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b stack.Part) int { return strings.Compare(a.Name, b.Name) })
	return parts, nil
}

func (c container) service() string { return c.Config.Labels["com.docker.compose.service"] }

func (c container) part(now time.Time) stack.Part {
	p := stack.Part{
		Name: c.service(), Service: c.service(), PID: c.State.Pid, State: stack.Starting, Container: c.ID,
	}
	switch c.State.Status {
	case "running":
		p.UptimeMS = now.Sub(c.State.StartedAt).Milliseconds()
		if c.State.Health == nil || c.State.Health.Status == "healthy" {
			p.State = stack.Ready
		}
	case "paused":
		p.State = stack.Paused
	case "exited", "dead":
		p.State, p.Detail = stack.Exited, "exit status "+strconv.Itoa(c.State.ExitCode)
		if c.State.ExitCode == 0 {
			p.Detail = finished
		}
	}
	if c.State.Health != nil {
		for _, check := range c.State.Health.Log {
			if check.ExitCode == 0 && p.ReadyMS == 0 {
				p.ReadyMS = check.End.Sub(c.State.StartedAt).Milliseconds()
			}
		}
	}
	return p
}
