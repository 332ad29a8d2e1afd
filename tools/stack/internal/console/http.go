package console

import (
	"crypto/subtle"
	"embed"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
)

//go:embed page
var page embed.FS

// policy allows the page's own files and requests, and no text that becomes HTML.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// tokenHeader carries the token of the page's address.
const tokenHeader = "X-Console-Token"

// handler returns the routes of the console.
func (c *Console) handler() http.Handler {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the name above is not valid
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /stream", c.stream.serve)
	mux.HandleFunc("GET /traces/{id}", c.showTrace)
	mux.HandleFunc("POST /do/{action}", c.act)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !isLoopback(r.Host): // a name of another site can lead here (DNS rebinding)
			http.Error(w, "open the console at 127.0.0.1 or localhost", http.StatusMisdirectedRequest)
		case r.Method == http.MethodPost && !c.knows(r.Header.Get(tokenHeader)):
			respond(w, http.StatusForbidden, result{Message: "Open the address with the token that the terminal shows."})
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// isLoopback reports whether a Host header names this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (c *Console) knows(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(c.token)) == 1
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // else the page is closed
}

func (c *Console) showTrace(w http.ResponseWriter, r *http.Request) {
	trace, ok := c.traces.trace(r.PathValue("id"))
	if !ok {
		http.Error(w, "no such trace here", http.StatusNotFound)
		return
	}
	trace.Logs = c.logs(r.Context(), trace.ID)
	respond(w, http.StatusOK, trace)
}
