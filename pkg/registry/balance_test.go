package registry_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/registry"
)

const a, b, c = "http://10.0.0.1:8081", "http://10.0.0.2:8081", "http://10.0.0.3:8081"

// answer is how an instance behaves in a simulation.
type answer struct {
	outcome breaker.Outcome
	after   time.Duration
}

// load makes calls one after the other on each of callers until the time is over and answers calls per instance.
func load(t *testing.T, r *registry.Registry, callers int, length time.Duration, behave func(url string) answer) map[string]int {
	t.Helper()
	end := time.Now().Add(length)
	counts := make([]map[string]int, callers)
	for i := range callers {
		counts[i] = map[string]int{}
		go func() {
			for time.Now().Before(end) {
				lease, err := r.Pick(user)
				if err != nil {
					t.Error(err)
					return
				}
				what := behave(lease.URL)
				time.Sleep(what.after) // the fake clock's, in a bubble
				lease.Done(what.outcome, what.after)
				counts[i][lease.URL]++
			}
		}()
	}
	time.Sleep(length + time.Minute)
	synctest.Wait()
	sum := map[string]int{}
	for _, m := range counts {
		for url, n := range m {
			sum[url] += n
		}
	}
	return sum
}

func total(counts map[string]int) (n int) {
	for _, m := range counts {
		n += m
	}
	return n
}

func TestLikeInstancesShareEvenly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		speed := map[string]time.Duration{a: 9 * time.Millisecond, b: 10 * time.Millisecond, c: 11 * time.Millisecond}
		counts := load(t, static(t, a, b, c), 16, 10*time.Second, func(url string) answer {
			return answer{breaker.Success, speed[url]}
		})
		share := total(counts) / 3
		for url, n := range counts {
			if n < share*8/10 || n > share*12/10 {
				t.Errorf("%s got %d calls, a fair share is %d", url, n, share)
			}
		}
	})
}

func TestBadInstancesGetLittle(t *testing.T) {
	t.Parallel()
	const usual = 5 * time.Millisecond
	for name, row := range map[string]struct {
		bad     answer
		percent int
	}{
		"slow tenfold":  {answer{breaker.Success, 10 * usual}, 10},
		"failing fast":  {answer{breaker.Failure, time.Millisecond / 2}, 5},
		"hanging":       {answer{breaker.Failure, 2 * time.Second}, 2},
		"given up upon": {answer{breaker.Ignore, 100 * usual}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				counts := load(t, static(t, a, b, c), 16, 10*time.Second, func(url string) answer {
					if url == a {
						return row.bad
					}
					return answer{breaker.Success, usual}
				})
				if counts[a]*100 > total(counts)*row.percent {
					t.Errorf("the bad instance got %d of %d calls, want at most %d %%", counts[a], total(counts), row.percent)
				}
			})
		})
	}
}

func TestShareReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, began := static(t, a, b, c), time.Now()
		behave := func(url string) answer {
			if url == a && time.Since(began) < 5*time.Second {
				return answer{breaker.Success, 50 * time.Millisecond}
			}
			return answer{breaker.Success, 5 * time.Millisecond}
		}
		load(t, r, 16, 8*time.Second, behave) // slow until second 5; 3 s to recover
		counts := load(t, r, 16, 5*time.Second, behave)
		if share := total(counts) / 3; counts[a] < share*8/10 {
			t.Errorf("recovered instance got %d calls, a fair share is %d", counts[a], share)
		}
	})
}

// fail makes n calls to url fail.
func fail(t *testing.T, r *registry.Registry, url string, n int) {
	t.Helper()
	for range n {
		others := slices.DeleteFunc([]string{a, b, c}, func(u string) bool { return u == url })
		lease, err := r.Pick(user, others...)
		if err != nil || lease.URL != url {
			t.Fatalf("Pick = %q, %v; want %s", lease.URL, err, url)
		}
		lease.Done(breaker.Failure, time.Millisecond)
	}
}

func ejected(r *registry.Registry) (urls []string) {
	for _, i := range r.Instances(user) {
		if i.Ejected {
			urls = append(urls, i.URL)
		}
	}
	return urls
}

func TestEjection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := static(t, a, b, c)
		for n := 1; n <= 3; n++ {
			fail(t, r, a, 4)
			if got := ejected(r); got != nil {
				t.Fatalf("ejected after 4 failures: %v", got)
			}
			fail(t, r, a, 1)
			if got := ejected(r); !slices.Equal(got, []string{a}) {
				t.Fatalf("ejected: %v, want %s", got, a)
			}
			for range 50 {
				if url, _ := r.GetService(user); url == a {
					t.Fatal("chose the ejected instance")
				}
			}
			time.Sleep(time.Duration(n)*10*time.Second - time.Millisecond)
			if ejected(r) == nil {
				t.Fatalf("ejection %d ended early", n)
			}
			time.Sleep(time.Millisecond)
			if ejected(r) != nil {
				t.Fatalf("ejection %d lasts longer than %d s", n, n*10)
			}
		}
		time.Sleep(2 * time.Minute)
		fail(t, r, a, 5)
		time.Sleep(10 * time.Second)
		if ejected(r) != nil {
			t.Error("old ejections are not forgotten")
		}
	})
}

func TestSuccessBetweenFailuresPreventsEjection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := static(t, a, b)
		for range 3 {
			fail(t, r, a, 4)
			lease, _ := r.Pick(user, b)
			lease.Done(breaker.Success, time.Millisecond)
		}
		if got := ejected(r); got != nil {
			t.Errorf("ejected: %v", got)
		}
	})
}

func TestAtMostHalfIsEjected(t *testing.T) {
	t.Parallel()
	for size, most := range map[int]int{1: 0, 2: 1, 3: 1, 4: 2} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				urls := []string{a, b, c, "http://10.0.0.4:8081"}[:size]
				r := static(t, urls...)
				for range 500 {
					lease, err := r.Pick(user)
					if err != nil {
						t.Fatal(err)
					}
					lease.Done(breaker.Failure, time.Millisecond)
				}
				if got := ejected(r); len(got) != most {
					t.Errorf("of %d failing instances %d are ejected, want %d", size, len(got), most)
				}
			})
		})
	}
}

func TestTriedInstancesAreAvoided(t *testing.T) {
	t.Parallel()
	r := static(t, a, b)
	for range 50 {
		if lease, err := r.Pick(user, a); err != nil || lease.URL != b {
			t.Fatalf("Pick = %q, %v", lease.URL, err)
		}
	}
	if _, err := r.Pick(user, a, b); err != nil {
		t.Errorf("with all tried: %v", err)
	}
	if !r.Another(user, a) || r.Another(user, a, b) {
		t.Error("Another is wrong")
	}
}

func BenchmarkPick(b *testing.B) {
	r, err := registry.New(registry.Config{URLs: map[string]string{user: "http://a:1,http://b:1,http://c:1"}}, registry.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			lease, _ := r.Pick(user)
			lease.Done(breaker.Success, time.Millisecond)
		}
	})
}
