package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// open starts a door in front of target and answers its address; it is shut,
// and must have shut cleanly, at the end of the test.
func open(t *testing.T, target string) string {
	t.Helper()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := probe.Addr().String()
	probe.Close()

	ctx, shut := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{listen + "=" + target}, io.Discard) }()
	t.Cleanup(func() {
		shut()
		if err := <-done; err != nil {
			t.Errorf("door: %v", err)
		}
	})
	for deadline := time.Now().Add(5 * time.Second); ; {
		if err := run(ctx, []string{"health", listen + "=" + target}, io.Discard); err == nil {
			return listen
		}
		if time.Now().After(deadline) {
			t.Fatal("the door did not open within 5 s")
		}
	}
}

func TestDoorPassesRequestsOn(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(body))
	}))
	defer service.Close()
	listen := open(t, service.Listener.Addr().String())

	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), 1<<20)
	resp, err := client.Post("http://"+listen+"/users", "text/plain", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := "POST /users 1048576"; string(got) != want {
		t.Errorf("answer = %q, want %q", got, want)
	}
}

func TestDoorPassesHalfCloseOn(t *testing.T) {
	t.Parallel()
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	go func() {
		for {
			conn, err := service.Accept()
			if err != nil {
				return
			}
			all, _ := io.ReadAll(conn) // ends only with the client's half-close
			conn.Write([]byte(strings.ToUpper(string(all))))
			conn.Close()
		}
	}()
	conn, err := net.Dial("tcp", open(t, service.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("mush"))
	conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "MUSH" {
		t.Errorf("answer = %q, %v, want MUSH", got, err)
	}
}

func TestDoorResetsWhenNobodyIsBehind(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := gone.Addr().String()
	gone.Close()
	conn, err := net.Dial("tcp", open(t, target))
	if errors.Is(err, syscall.ECONNRESET) {
		return // as early as that
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from nobody", n)
	}
}

func TestDoorStopsWithConnectionsOpen(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.NotFoundHandler())
	var conn net.Conn
	t.Cleanup(func() { // registered first, so run last: the door has to stop before it
		conn.Close()
		service.Close()
	})
	var err error
	if conn, err = net.Dial("tcp", open(t, service.Listener.Addr().String())); err != nil {
		t.Fatal(err)
	}
}

func TestArgumentsAreChecked(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"8081"}, {":8081=user-service"}, {"8081=user-service:8081"}, {"health"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("run(%q) = nil, want an error", args)
		}
	}
}
