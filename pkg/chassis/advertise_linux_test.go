package chassis_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A machine without a route has no address that others reach. A service there does
// not announce one that cannot be right.
func TestNoRouteIsAMistake(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(environ(t, "LISTEN_HOST=0.0.0.0", "REGISTRY=redis", "SERVICE_NAME="+serviceName), asService)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET} // a network with nothing in it
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("create network namespace: %v", err)
	}
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(out.String(), "ADVERTISE_URL") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}
