module github.com/go-troika/troika/deploy/door

go 1.26.0
