package session

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The record format, for stores that keep a record as one string of bytes.
// Numbers are big endian, times are milliseconds since 1970 (0: none). The head
// has a fixed size, so that a script in a store can read and replace its fields
// without decoding the rest:
//
//	offset size
//	     0    1  format byte, 1
//	     1    1  State
//	     2    1  flags: 1 Persistent, 2 PreviousReads
//	     3    1  Level
//	     4    8  Version
//	    12    8  ExpiresAt
//	    20    8  UpdatedAt
//	    28    8  CreatedAt
//	    36    8  AuthenticatedAt
//	    44    8  RotatedAt
//	    52    8  PreviousUntil
//	    60    8  ExpiresIn, milliseconds
//	    68   32  TokenHash
//	   100   32  PreviousTokenHash
//	   132    2  length of what follows up to the values
//	   134       UserID, IPAddress, UserAgent, DeviceID, Method, each behind its length (2)
//	             Values, to the end
//
// The ID is the key and not part of the value. Readers of a new format ship one
// release before its writers: a record with an unknown format byte is
// ErrUnreadable, which signs nobody in and nobody out.
const (
	recordFormat = 1
	recordHead   = 134

	// maxMillis is a time in the year 2248; as a time.Duration it does not overflow.
	maxMillis = 1 << 43

	flagPersistent    = 1
	flagPreviousReads = 2
)

// AppendBinary appends the record in the record format, without its ID, to b.
// It fails if a field is too large for it. It implements encoding.BinaryAppender.
func (r *Record) AppendBinary(b []byte) ([]byte, error) {
	meta := [...]string{r.UserID, r.IPAddress, r.UserAgent, r.DeviceID, r.Method}
	size := 0
	for _, s := range meta {
		size += 2 + len(s)
	}
	if size > 0xffff {
		return b, fmt.Errorf("session: encode record: %d bytes of user and client data", size)
	}
	if len(r.Values) > maxValues {
		return b, fmt.Errorf("session: encode record: %w", ErrTooLarge)
	}
	start := len(b)
	b = append(b, recordFormat, byte(r.State), r.flags(), byte(r.Level))
	b = binary.BigEndian.AppendUint64(b, r.Version)
	for _, t := range [...]time.Time{r.ExpiresAt, r.UpdatedAt, r.CreatedAt, r.AuthenticatedAt, r.RotatedAt, r.PreviousUntil} {
		b = binary.BigEndian.AppendUint64(b, uint64(encodeTime(t)))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.ExpiresIn.Milliseconds()))
	if !saneTimes(b[start+12:]) {
		return b[:start], fmt.Errorf("session: encode record: a time is before 1970 or after 2248")
	}
	b = append(b, r.TokenHash[:]...)
	b = append(b, r.PreviousTokenHash[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	for _, s := range meta {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return append(b, r.Values...), nil
}

// ParseRecord decodes the record with the given ID from the record format. The
// strings of the record are cut out of a copy of data, or out of data itself if
// that is a string. The error wraps ErrUnreadable.
func ParseRecord[T []byte | string](id string, data T) (*Record, error) {
	var head [recordHead]byte
	if copy(head[:], data) < recordHead || head[0] != recordFormat {
		return nil, fmt.Errorf("session: decode record %s: unknown format: %w", id, ErrUnreadable)
	}
	rest := string(data[recordHead:])
	meta := int(binary.BigEndian.Uint16(head[132:]))
	if head[1] > byte(StateMoved) || head[2] > flagPersistent|flagPreviousReads || meta > len(rest) || !saneTimes(head[12:68]) {
		return nil, fmt.Errorf("session: decode record %s: bad head: %w", id, ErrUnreadable)
	}
	r := parseHead(&head)
	r.ID, r.Values = id, Values(rest[meta:])
	if !r.parseMeta(rest[:meta]) || !r.Values.check() {
		return nil, fmt.Errorf("session: decode record %s: bad lengths: %w", id, ErrUnreadable)
	}
	return r, nil
}

func parseHead(head *[recordHead]byte) *Record {
	r := &Record{
		State:           State(head[1]),
		Persistent:      head[2]&flagPersistent != 0,
		PreviousReads:   head[2]&flagPreviousReads != 0,
		Level:           Level(head[3]),
		Version:         binary.BigEndian.Uint64(head[4:]),
		ExpiresAt:       decodeTime(head[12:]),
		UpdatedAt:       decodeTime(head[20:]),
		CreatedAt:       decodeTime(head[28:]),
		AuthenticatedAt: decodeTime(head[36:]),
		RotatedAt:       decodeTime(head[44:]),
		PreviousUntil:   decodeTime(head[52:]),
		ExpiresIn:       time.Duration(binary.BigEndian.Uint64(head[60:])) * time.Millisecond,
	}
	copy(r.TokenHash[:], head[68:])
	copy(r.PreviousTokenHash[:], head[100:])
	return r
}

// parseMeta fills the strings from the meta part.
func (r *Record) parseMeta(meta string) bool {
	for _, field := range [...]*string{&r.UserID, &r.IPAddress, &r.UserAgent, &r.DeviceID, &r.Method} {
		if len(meta) < 2 {
			return false
		}
		n := int(meta[0])<<8 | int(meta[1])
		if n > len(meta)-2 {
			return false
		}
		*field, meta = meta[2:2+n], meta[2+n:]
	}
	return meta == ""
}

// saneTimes says whether every number is one that a time or duration encodes to:
// anything else would overflow in arithmetic.
func saneTimes(b []byte) bool {
	for ; len(b) > 0; b = b[8:] {
		if binary.BigEndian.Uint64(b) >= maxMillis {
			return false
		}
	}
	return true
}

func (r *Record) flags() (f byte) {
	if r.Persistent {
		f |= flagPersistent
	}
	if r.PreviousReads {
		f |= flagPreviousReads
	}
	return f
}

func encodeTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func decodeTime(b []byte) time.Time {
	ms := int64(binary.BigEndian.Uint64(b))
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
