// Package browser drives the console with Chromium, against a stack of local processes. Its test
// has the build tag browser, because it needs Chromium and axe-core: make test-console.
package browser
