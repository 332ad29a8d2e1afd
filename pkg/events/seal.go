package events

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	stdhash "hash"
)

const sealSize = 16 // bytes

// Sealer seals the entries of one stream, so that a program that can write to Redis cannot forge
// one: a seal is the first 128 bits of the HMAC-SHA-256 (RFC 2104), with the part's StreamKey, of
// the part's number and all fields of the entry. It serves one goroutine.
type Sealer struct {
	part  int64
	mac   stdhash.Hash // nil without a key
	plain []byte
}

// NewSealer returns the sealer of the stream of a part.
func NewSealer(p Part) *Sealer {
	s := &Sealer{part: p.Number}
	if len(p.StreamKey) > 0 {
		s.mac = hmac.New(sha256.New, p.StreamKey)
	}
	return s
}

// Verify reports whether the seal of e is genuine. Without a StreamKey none is.
func (s *Sealer) Verify(e Entry) bool {
	return s.mac != nil && hmac.Equal([]byte(e.Seal), s.seal(e))
}

// seal returns the seal of e, none without a StreamKey.
func (s *Sealer) seal(e Entry) []byte {
	if s.mac == nil {
		return nil
	}
	s.plain = s.plain[:0]
	for _, n := range []int64{s.part, e.Pos, int64(e.Mark), int64(e.Prev)} {
		s.plain = binary.BigEndian.AppendUint64(s.plain, uint64(n)) // #nosec G115 -- the same 64 bits
	}
	s.plain = append(s.plain, e.Envelope...)
	s.mac.Reset()
	s.mac.Write(s.plain)
	return s.mac.Sum(nil)[:sealSize]
}
