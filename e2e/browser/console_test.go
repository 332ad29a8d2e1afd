//go:build browser

package browser_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// hostile is a name that a page would execute if it took it for HTML.
const hostile = `<img src=x onerror="document.title='taken'">`

func TestConsole(t *testing.T) {
	p := startChromium(t)
	p.open(t, startStack(t).console(t))
	for _, visit := range []string{"first", "second"} {
		t.Logf("%s visit: first paint %.0f ms after the first byte of the page", visit, p.firstPaint(t))
		p.navigate(t, "about:blank")
		p.navigate(t, p.url)
	}

	t.Run("a user's name stays text", func(t *testing.T) {
		p.do(t, `document.querySelector("#name").value = `+fmt.Sprintf("%q", hostile))
		p.click(t, `[data-action="user"]`)
		p.do(t, `document.querySelector("#name").value = ""`)
		p.until(t, "the payload of user.created shows the name", `[...document.querySelectorAll("#events li")]
			.find(li => li.querySelector("b").textContent === "user.created" && li.textContent.includes("<img src=x onerror="))`)
		p.until(t, "profile-service has handled it",
			`document.querySelector("#events .handlers [data-state=done]")?.textContent.includes("profile-service")`)
		if p.truth(`document.title !== "Troika console" || document.querySelector('img[src="x"]') !== null`) {
			t.Error("the name became HTML")
		}
	})
	t.Run("the trace of an order has calls, statements and events", func(t *testing.T) {
		p.click(t, `[data-action="order"]`)
		p.untilTrace(t, "POST /orders", "HTTP GET /users/:id", "SQL INSERT orders", "event publish order.created")
		p.click(t, `[data-action="complete"]`)
		p.untilTrace(t, "POST /orders/:id/complete", "SQL UPDATE orders", "event process order.completed")
		p.until(t, "its log lines", `document.querySelectorAll("#trace .logs li").length > 0`)
	})
	t.Run("the breaker opens and closes", func(t *testing.T) {
		p.until(t, "the breaker is closed", `document.querySelector(".breaker.CLOSED")`)
		p.click(t, `[aria-label="Kill user-service"]`)
		p.until(t, "user-service is down", `document.querySelector("#service-user-service[data-health=down]")`)
		for range 4 {
			p.click(t, `[data-action="order"]`)
			p.until(t, "the order is refused", `document.querySelector("#status.failed")?.textContent.includes("503")`)
		}
		p.until(t, "OPEN with a countdown", `/^OPEN \d+ s$/.test(document.querySelector(".breaker.OPEN")?.textContent)`)
		p.picture(t, "console-open", desktop, "light")
		p.click(t, `[aria-label="Restore user-service"]`)
		p.until(t, "user-service is back", `document.querySelector("#service-user-service[data-health=healthy]")`)
		p.until(t, "CLOSED again", `document.querySelector('[data-action="order"]').click() ||
			document.querySelector(".breaker.CLOSED")`)
	})
	t.Run("an event waits for a consumer that is down", func(t *testing.T) { waiting(t, p) })
	t.Run("accessible, and as in the pictures", func(t *testing.T) {
		for _, size := range []size{desktop, phone} {
			for _, scheme := range []string{"light", "dark"} {
				p.accessible(t, size, scheme)
				for range 3 { // something to see
					p.click(t, `[data-action="user"]`)
					p.click(t, `[data-action="order"]`)
					p.click(t, `[data-action="complete"]`)
				}
				p.untilTrace(t, "POST /orders/:id/complete", "event process order.completed")
				p.picture(t, "console-"+size.name+"-"+scheme, size, scheme)
			}
		}
	})
	t.Run("a load is started", func(t *testing.T) {
		p.click(t, `[data-run="load"]`)
		p.until(t, "its progress", `document.querySelector("#story pre").textContent.includes("requests/s")`)
		p.until(t, "its requests", `parseFloat(document.querySelector("#client span").textContent) > 1`)
		p.accessible(t, desktop, "light")
	})
	t.Run("without the token the page only shows", func(t *testing.T) { readOnly(t, p) })

	p.check(t)
}

// firstPaint returns milliseconds.
func (p *tab) firstPaint(t *testing.T) float64 {
	t.Helper()
	p.until(t, "the first paint", `performance.getEntriesByName("first-contentful-paint").length`)
	return p.number(`performance.getEntriesByName("first-contentful-paint")[0].startTime -
		performance.getEntriesByType("navigation")[0].responseStart`)
}

// waiting kills a consumer, and sees its lag until it is back.
func waiting(t *testing.T, p *tab) {
	t.Helper()
	p.click(t, `[aria-label="Kill profile-service"]`)
	p.until(t, "profile-service is down", `document.querySelector("#service-profile-service[data-health=down]")`)
	p.click(t, `[data-action="user"]`)
	p.until(t, "the event waits",
		`document.querySelector("#events [data-state=waiting]")?.textContent.includes("profile-service waits")`)
	p.until(t, "and is its lag", `document.querySelector("#streams .warn")`)
	p.click(t, `[aria-label="Restore profile-service"]`)
	p.until(t, "it is handled", `!document.querySelector("#events [data-state=waiting], #streams .warn")`)
}

func readOnly(t *testing.T, p *tab) {
	t.Helper()
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	u.Fragment = ""
	p.navigate(t, "about:blank")
	p.navigate(t, u.String())
	p.until(t, "the page shows the system", `document.querySelectorAll(".service").length === 3`)
	p.until(t, "the notice", `document.querySelector("#notice").textContent.startsWith("Read only")`)
	if !p.truth(`[...document.querySelectorAll("#actions button")].every(b => b.disabled)`) {
		t.Error("the buttons can be used")
	}
}

// untilTrace waits until the selected trace has this name and spans "KIND NAME".
func (p *tab) untilTrace(t *testing.T, name string, spans ...string) {
	t.Helper()
	p.until(t, "the trace of "+name, fmt.Sprintf(`document.querySelector("#trace h3 b")?.textContent === %q`, name))
	for _, span := range spans {
		kind, name, _ := strings.Cut(span, " ")
		p.until(t, "the span "+span, fmt.Sprintf(`[...document.querySelectorAll("#trace [data-kind=%s] .name")]
			.some(n => n.textContent.includes(%q))`, kind, name))
	}
}

const patience = 30 * time.Second
